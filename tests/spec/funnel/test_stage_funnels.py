"""The stage funnel: the furthest journey of each person."""

from __future__ import annotations

from typing import Any

from support.kernel_specs import Log, found_in, stage_plan

RULES = [{"stage": 1, "when": "ad"}, {"stage": 2, "when": "view"}, {"stage": 3, "when": "buy"}]


def read(text: str, **settings: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    log = Log(text)
    tables = found_in(log, stage_plan(log, RULES, 3, **settings))
    units = [row | {"who": log.person(row["person_key"])} for row in tables["kernel.funnel_units"]]
    return units, tables["kernel.funnel_reaches"]


def test_reached_is_this_stage_or_one_beyond():
    units, reaches = read("ann: ad@0s buy@1h view@2h")
    assert [row["depth"] for row in units] == [3]
    assert [(row["reached_at"] // 3_600_000_000, row["is_visited"]) for row in reaches] == [
        (0, True),
        (1, True),
        (1, True),
    ]
    units, reaches = read("ann: buy@1h")
    assert [row["is_visited"] for row in reaches] == [False, False, True]


def test_the_furthest_journey_counts_and_the_earliest_among_equals():
    units, _ = read("ann: ad@0s view@40d ad@80d view@81d", window="30d")
    assert [(row["journey_index"], row["depth"]) for row in units] == [(2, 2)]


def test_a_stage_beyond_the_window_is_not_reached():
    assert [row["depth"] for row in read("ann: ad@0s view@30d buy@30d1us")[0]] == [2]


def test_a_journey_without_a_staged_event_is_outside():
    assert read("ann: help@0s\nbob: ad@0s")[0][0]["who"] == "bob"


def test_next_is_the_first_later_event_beyond_after_a_first_visit():
    _, reaches = read("ann: ad@0s buy@1h view@2h buy@3h")
    nexts = [None if row["next_at"] is None else row["next_at"] // 3_600_000_000 for row in reaches]
    assert nexts == [1, 3, None]


def test_in_order_looks_at_the_first_visits():
    in_order = {
        row["who"]: row["is_in_order"]
        for row in read("""
        straight: ad@0s view@1h buy@2h
        back: ad@0s view@1h ad@2h buy@3h
        skips: ad@0s buy@1h
        backwards: view@0s ad@1h
        tied: view@0s ad@0s
    """)[0]
    }
    assert in_order == {"straight": True, "back": True, "skips": True, "backwards": False, "tied": True}


def test_pending_until_the_window_of_the_journey_is_past():
    assert read("ann: ad@31d")[0][0]["is_pending"]
    assert not read("ann: ad@30d")[0][0]["is_pending"]
    assert read("ann: ad@30d")[0][0]["is_matured"]
