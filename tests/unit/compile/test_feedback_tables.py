"""Surveys and promises as tables: which end is good, which stage a promise is judged at, what keeps it."""

from __future__ import annotations

import pytest

from journeyflow.compile.config_tables import config_tables
from journeyflow.config import load_config
from journeyflow.config.base import InvalidConfigError

WEB = {"format": "access_log", "path": "a"}
FAST = {"name": "fast", "from": {"event": "purchase"}, "to": {"event": "delivered"}, "within": "36h"}


def tables_of(**sections):
    config = load_config({"sources": {"web": WEB}, **sections})
    tables = config_tables(config, run_id="r", high_water_us=0, first_event_us=0, person_secret="s")
    return {name.removeprefix("config."): each.to_pylist() for name, each in tables.items()}


def stages(*names):
    return {"stages": [{"name": name, "rules": [{"id": name, "when": {"event": name}}]} for name in names]}


@pytest.mark.parametrize(
    ("given", "is_low_good"),
    [
        ({}, False),
        ({"kind": "nps"}, False),
        ({"kind": "ces"}, True),
        ({"kind": "ces", "good": "high"}, False),
        ({"good": "low"}, True),
    ],
)
def test_the_good_end_of_a_scale(given, is_low_good):
    survey = {"event": "e", "score": "properties.s", "scale": [1, 7], **given}
    (row,) = tables_of(surveys={"s": survey})["surveys"]
    assert row["is_low_good"] is is_low_good
    assert (row["least"], row["most"], row["has_score"], row["has_text"]) == (1.0, 7.0, True, False)


def test_a_survey_of_texts_alone_has_no_scale():
    (row,) = tables_of(surveys={"s": {"event": "e", "text": "properties.t"}})["surveys"]
    assert (row["least"], row["has_score"], row["has_text"]) == (None, False, True)


def test_nobody_recommends_by_a_low_score():
    survey = {"event": "e", "score": "properties.s", "scale": [0, 10], "kind": "nps", "good": "low"}
    with pytest.raises(InvalidConfigError, match="recommendation whose low end is good"):
        tables_of(surveys={"s": survey})


def test_a_promise_is_judged_where_people_can_go_on():
    models = {"short": stages("a", "served"), "long": stages("a", "served", "loyal"), "other": stages("a", "b")}
    first, second = tables_of(
        models=models, promises=[FAST | {"stage": "served"}, FAST | {"name": "late", "stage": "loyal"}]
    )["promises"]
    assert (first["model"], first["model_index"], first["stage_index"], first["is_last_stage"]) == ("long", 2, 2, False)
    assert (second["model"], second["stage_index"], second["is_last_stage"]) == ("long", 3, True)
    (last,) = tables_of(models={"short": stages("a", "served")}, promises=[FAST | {"stage": "served"}])["promises"]
    assert (last["model"], last["is_last_stage"]) == ("short", True)


def test_what_keeps_a_promise():
    survey = {"event": "e", "score": "properties.s", "scale": [1, 5]}
    rows = tables_of(
        surveys={"s": survey},
        promises=[
            FAST | {"stage": "decision", "match": "order.no"},
            {"name": "liked", "stage": "decision", "measure": "s", "target": {"at_least": 4}},
            {"name": "easy", "stage": "decision", "measure": "s", "target": {"at_most": 2.5}},
        ],
    )["promises"]
    terms = [(row["kind"], row["within_us"], row["match_property"], row["survey"]) for row in rows]
    assert terms == [
        ("timed", 36 * 3_600_000_000, "order.no", None),
        ("measured", None, None, "s"),
        ("measured", None, None, "s"),
    ]
    assert [(row["target"], row["is_at_most"]) for row in rows] == [(1.0, None), (4.0, False), (2.5, True)]
