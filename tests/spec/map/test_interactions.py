"""Interactions of journeys in a stage: which journey counts, and until when."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pytest

from journeyflow.kernel.plan import ExposurePlan
from support.kernel_specs import START_US, Log, found_in, stage_plan, us

RULES = [{"stage": 1, "when": "ad"}, {"stage": 2, "when": "view|fail"}, {"stage": 3, "when": "buy"}]
EXPOSURES = {"ads": "ad", "pages": "view|fail|help", "shop": "buy", "failed": "fail|error"}
UNCLASSIFIED_TOO = ("failed",)


def found(text: str, **settings: Any) -> tuple[Log, dict[str, list[dict[str, Any]]], dict[int, str]]:
    log = Log(text)
    exposures = [
        ExposurePlan(ix, log.event_types(event_types), is_unclassified_too=name in UNCLASSIFIED_TOO)
        for ix, (name, event_types) in enumerate(EXPOSURES.items(), 1)
    ]
    names = dict(enumerate(EXPOSURES, 1))
    return log, found_in(log, stage_plan(log, RULES, 3, exposures=tuple(exposures), **settings)), names


def interactions(text: str, **settings: Any) -> list[str]:
    """Return the interactions as ``who stage exposure count``."""
    log, tables, names = found(text, **settings)
    return sorted(
        f"{log.person(row['person_key'])} {row['stage_index']} {names[row['exposure_ix']]} {row['touch_count']}"
        for row in tables["kernel.stage_interactions"]
    )


def assert_interactions(text: str, expected: str, **settings: Any) -> None:
    assert interactions(text, **settings) == sorted(" ".join(line.split()) for line in expected.strip().splitlines())


def assert_journeys(text: str, expected: str, **settings: Any) -> None:
    """Check the journeys of the map: ``who journey month depth visited outcome furthest``."""
    log, tables, _ = found(text, **settings)
    lines = [
        f"{log.person(row['person_key'])} {row['journey_index']} {row['month']} {row['depth']} {row['visited_stages']} "
        + ("pending" if row["is_pending"] else "open" if not row["is_matured"] else "over")
        + (" furthest" if row["is_furthest"] else "")
        for row in tables["kernel.map_journeys"]
    ]
    assert sorted(lines) == sorted(" ".join(line.split()) for line in expected.strip().splitlines())


def test_an_event_counts_for_its_exposures_in_its_own_stage():
    assert_interactions(
        "ann: ad@0s view@10s view@30s fail@40s buy@50s",
        """
        ann 1 ads    1
        ann 2 pages  3
        ann 2 failed 1
        ann 3 shop   1
        """,
    )


def test_what_comes_after_going_beyond_does_not_count():
    assert_interactions(
        "ann: ad@0s ad@5s view@9s ad@20s view@30s buy@40s view@50s",
        """
        ann 1 ads    2
        ann 2 pages  2
        ann 3 shop   1
        """,
    )


def test_a_stage_first_seen_on_the_way_back_counts_to_the_end():
    assert_interactions(
        "ann: buy@0s view@7s view@9s",
        """
        ann 3 shop   1
        ann 2 pages  2
        """,
    )


def test_unclassified_friction_belongs_to_the_visit_in_progress():
    assert_interactions(
        "ann: error@0s ad@1s error@2s help@3s view@4s error@8s buy@9s error@10s",
        """
        ann 1 ads    1
        ann 1 failed 1
        ann 2 pages  1
        ann 2 failed 1
        ann 3 shop   1
        ann 3 failed 1
        """,
    )


def test_only_the_window_is_read():
    assert_interactions(
        "ann: ad@0s view@10d view@30d view@31d",
        """
        ann 1 ads    1
        ann 2 pages  2
        """,
        window="30d",
    )


def test_the_furthest_journey_of_each_month_counts_and_the_earliest_among_equals():
    from_2026 = {"day_date": np.arange(400, dtype=np.int32) + 20_454}  # 2026-01-01 and the days after
    assert_journeys(
        "ann: ad@0s view@50d ad@85d ad@120d view@155d\nbob: help@0s",
        """
        ann 1 2026-01 1 100 over
        ann 2 2026-02 2 010 over furthest
        ann 3 2026-03 1 100 over
        ann 4 2026-05 1 100 over
        ann 5 2026-06 2 010 over
        """,
        high_water_us=START_US + us("300d"),
        **from_2026,
    )


def test_two_journeys_of_one_month():
    assert_journeys(
        "ann: ad@0s ad@5d view@10d\nbob: view@0s ad@3d\ncat: ad@0s ad@3d",
        """
        ann 3 1970-01 2 010 over furthest
        bob 1 1970-01 2 010 over furthest
        cat 1 1970-01 1 100 over furthest
        """,
        journey_timeout_us=us("1d"),
    )


def test_a_journey_that_may_still_advance_is_pending_and_one_at_the_end_is_not():
    assert_journeys(
        "ann: ad@0s\nbob: ad@40d\ncat: ad@40d buy@41d\ndee: ad@30d",
        """
        ann 1 1970-01 1 100 over    furthest
        bob 1 1970-02 1 100 pending furthest
        cat 1 1970-02 3 101 open    furthest
        dee 1 1970-01 1 100 over    furthest
        """,
    )


def test_no_events():
    assert_interactions("", "")


@pytest.mark.parametrize("names", list(permutations(["error", "view", "buy"])))
def test_an_unclassified_event_of_a_tie_is_in_the_visit_in_progress_and_at_first_in_the_earliest_stage(names):
    tied = " ".join(f"{name}@1h" for name in names)
    assert "ann 2 failed 1" in interactions(f"ann: {tied}")
    assert [line for line in interactions(f"ann: {tied}") if "failed" in line] == ["ann 2 failed 1"]
    assert [line for line in interactions(f"ann: ad@0s {tied}") if "failed" in line] == ["ann 1 failed 1"]


@pytest.mark.parametrize("names", list(permutations(["ad", "view", "buy"])))
def test_a_tie_is_no_return(names):
    lines = interactions("ann: " + " ".join(f"{name}@1h" for name in names))
    assert lines == ["ann 1 ads 1", "ann 2 pages 1", "ann 3 shop 1"]
