from __future__ import annotations

from journeyflow.compile.config_tables import config_tables
from journeyflow.config import load_config

WEB = {"format": "access_log", "path": "a"}
OWN = {
    "extends": "four_stage",
    "stages": [{"name": "awareness", "rules": [{"id": "own", "when": {"event": "page_view"}}]}],
}


def built(**sections):
    config = load_config({"sources": {"web": WEB}, **sections})
    tables = config_tables(config, run_id="r", high_water_us=0, first_event_us=0, person_secret="s")
    return config, {name: [tuple(row.values()) for row in table.to_pylist()] for name, table in tables.items()}


def test_what_people_supply_is_a_row_a_cell():
    student = {
        "goals": {"awareness": "See"},
        "needs": {"decision": "Pay"},
        "quotes": {"decision": "Why?"},
        "desired": {
            "decision": {"reach_rate": 0.2, "p50_time": "2d", "sentiment": -0.3},
            "awareness": {"reach_rate": 0},
        },
    }
    _, found = built(map={"personas": {"all": student}})
    assert found["config.map_cells"] == [
        ("all", "awareness", "goal", "See"),
        ("all", "decision", "need", "Pay"),
        ("all", "decision", "quote", "Why?"),
    ]
    assert found["config.desired"] == [
        ("all", "decision", "reach_rate", 0.2),
        ("all", "decision", "p50_time", 172_800.0),
        ("all", "decision", "sentiment", -0.3),
        ("all", "awareness", "reach_rate", 0.0),
    ]


def test_rules_that_nobody_wrote_differ_from_those_of_ones_own():
    config, found = built(models={"four_stage": "builtin", "shop": OWN})
    shipped = {(model.model_index, rule.rule_index) for model in config.journey_models for rule in model.rules}
    (own,) = [
        (model.model_index, rule.rule_index)
        for model in config.journey_models
        for rule in model.rules
        if rule.rule_id == "own"
    ]
    assert set(found["config.builtin_rules"]) == shipped - {own}


def test_names_that_belong_to_no_stage():
    _, found = built()
    assert ("login",) in found["config.unstaged_events"]
    assert ("purchase",) not in found["config.unstaged_events"]
