"""Tied events have no order of their own: in stage visits, funnels and first touches they take the model's order."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from support.kernel_specs import Log, found_in, model_of, plan_for, stage_plan

RULES = [{"stage": 1, "when": "view"}, {"stage": 2, "when": "cart"}, {"stage": 3, "when": "buy"}]


def read(text: str, rules: list[dict[str, Any]] = RULES) -> tuple[Log, dict[str, list[dict[str, Any]]]]:
    log = Log(text)
    return log, found_in(log, stage_plan(log, rules, 3))


def visits(text: str) -> str:
    """Return the stages of the visits; `=` joins those that only a tie orders, `>` the others."""
    _, tables = read(text)
    rows = sorted(tables["kernel.stage_visits"], key=lambda row: row["visit_index"])
    joined = {True: "=", False: ">", None: ""}
    return "".join(f"{row['stage_index']}{joined[row['is_next_tied']]}" for row in rows)


@pytest.mark.parametrize("names", list(permutations(["view", "cart", "buy"])))
def test_events_of_one_date_are_one_path_whatever_their_ids(names):
    text = "ann: " + " ".join(f"{name}@1d" for name in names)
    assert visits(text) == "1=2=3"
    log, tables = read(text)
    [unit] = tables["kernel.funnel_units"]
    assert (unit["depth"], unit["is_in_order"], unit["order_pair_count"], unit["tied_pair_count"]) == (3, True, 2, 2)
    [journey] = tables["kernel.journeys"]
    assert log.names[journey["first_event_type_ix"]] == "view"
    reaches = tables["kernel.funnel_reaches"]
    assert [log.names[row["last_event_type_ix"]] for row in reaches] == ["view", "cart", "buy"]


@pytest.mark.parametrize("names", [*permutations(["view", "cart", "help"]), *permutations(["view", "help"])])
def test_first_and_last_touch_of_a_tied_instant(names):
    log, tables = read("ann: " + " ".join(f"{name}@1d" for name in names))
    assert log.names[tables["kernel.journeys"][0]["first_event_type_ix"]] == "view"
    last = log.names[tables["kernel.funnel_reaches"][-1]["last_event_type_ix"]]
    assert last == ("cart" if "cart" in names else "view")


def test_among_equals_of_an_instant_the_first_id_is_the_first_touch():
    rules = [{"stage": 1, "when": "view|ad"}, {"stage": 2, "when": "cart"}]
    for text, first in (("ann: cart@0s view@0s ad@0s", "view"), ("ann: cart@0s ad@0s view@0s", "ad")):
        log, tables = read(text, rules)
        assert log.names[tables["kernel.journeys"][0]["first_event_type_ix"]] == first


def test_the_first_model_says_what_the_first_touch_is():
    log = Log("ann: buy@0s view@0s")
    forward, backward = model_of(log, RULES, 3), model_of(log, [{"stage": 1, "when": "buy"}], 3)
    for models, first in (((forward, backward), "view"), ((backward, forward), "buy")):
        [journey] = found_in(log, plan_for(log, models=models))["kernel.journeys"]
        assert log.names[journey["first_event_type_ix"]] == first
    [journey] = found_in(log, plan_for(log))["kernel.journeys"]
    assert log.names[journey["first_event_type_ix"]] == "buy"


def test_a_return_needs_another_instant():
    assert visits("ann: buy@1d view@1d cart@1d view@2d buy@2d") == "1=2=3>1=3"
    assert visits("ann: cart@1d view@2d cart@2d") == "2>1=2"


def test_a_sequence_orders_events_of_one_instant():
    assert visits("ann: buy@1d#1 view@1d#2") == "3>1"
    assert visits("ann: buy@1d#1 view@1d#1") == "1=3"
    assert visits("ann: buy@1d#1 view@1d") == "1=3"


def test_events_of_two_sources_tie_at_one_instant():
    log = Log("ann: buy@1d#1 view@1d#2")
    log.rows[1]["source_ix"] = 2
    tables = found_in(log, stage_plan(log, RULES, 3))
    assert [row["stage_index"] for row in tables["kernel.stage_visits"]] == [1, 3]


def test_a_tie_of_two_devices_keeps_the_sessions_apart():
    log, tables = read("ann: cart@0s/phone view@0s/laptop help@1m/laptop more@2m/phone")
    assert [log.names[row["last_event_type_ix"]] for row in tables["kernel.funnel_reaches"]] == ["view", "more"]
