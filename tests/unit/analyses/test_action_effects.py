"""Effects of dated actions, against what the other slices did in the same time."""

from __future__ import annotations

import numpy as np
import pytest

from journeyflow.analyses.rate_changes import Change, action_effects, difference_in_differences
from journeyflow.engines import DuckDBEngine
from journeyflow.models.checks import require_checks
from support.few_models import all_models
from support.text_tables import create

GRAPH = all_models()


def test_the_effect_is_the_change_less_that_of_the_others():
    found = difference_in_differences(Change(100, 40, 100, 60), [Change(1000, 500, 1000, 550)])
    assert found.effect == pytest.approx(0.2 - 0.05)
    assert found.others_change == pytest.approx(0.05)
    spread = (0.24 / 100 + 0.24 / 100 + 0.25 / 1000 + 0.2475 / 1000) ** 0.5
    assert found.error == pytest.approx(spread, rel=0.01)


def test_others_that_move_apart_widen_the_interval():
    alike = [Change(1000, 500, 1000, 500)] * 3
    apart = [Change(1000, 500, 1000, 300), Change(1000, 500, 1000, 500), Change(1000, 500, 1000, 700)]
    own = Change(1000, 500, 1000, 560)
    first, second = (difference_in_differences(own, others) for others in (alike, apart))
    assert first.effect == pytest.approx(second.effect) == pytest.approx(0.06)
    assert first.interval[0] > 0
    assert second.interval[0] < 0


def test_without_others_it_is_before_and_after_and_without_a_side_nothing():
    assert difference_in_differences(Change(100, 40, 100, 60), [Change(0, 0, 9, 9)]).others_change is None
    assert difference_in_differences(Change(100, 40, 0, 0), []) is None


def test_the_interval_holds_the_truth_in_95_of_100():
    """Four slices with rates of their own, all moved by the same, and one by 0.05 more."""
    random = np.random.default_rng(7)
    rates, moved = np.array([0.3, 0.5, 0.6, 0.4]), np.array([0.08, 0.03, 0.03, 0.03])
    held = 0
    for _ in range(400):
        before, after = random.binomial(400, rates), random.binomial(400, rates + moved)
        changes = [Change(400, int(old), 400, int(new)) for old, new in zip(before, after, strict=True)]
        low, high = difference_in_differences(changes[0], changes[1:]).interval
        held += low <= 0.05 <= high
    assert 0.93 <= held / 400 <= 0.985


def test_every_action_has_a_row_with_its_grade():
    actions = """
        action  | action_index | funnel_index | step_index | dimension | slice | first_day
        wallet  | 1            | 1            | 2          | channel   | app   | 2026-03-01
        drifted | 2            | 1            | 2          | channel   | app   | 2026-03-02
        alone   | 3            | 1            | 2          |           |       | 2026-03-03
        planned | 4            | 1            | 2          |           |       | 2027-03-03
    """
    cells = """
        action_index | slice | side    | entered_count | reached_count | went_on_count
        1            | app   | earlier | 200           | 200           | 100
        1            | app   | later   | 200           | 200           | 100
        1            | app   | ramp    | 7             | 6             | 3
        1            | app   | after   | 300           | 300           | 210
        1            | app   | pending | 9             | 5             | 2
        1            | web   | earlier | 500           | 500           | 300
        1            | web   | later   | 500           | 500           | 300
        1            | web   | after   | 500           | 500           | 300
        2            | app   | earlier | 500           | 500           | 100
        2            | app   | later   | 500           | 500           | 300
        2            | app   | after   | 500           | 500           | 400
        2            | web   | earlier | 500           | 500           | 300
        2            | web   | later   | 500           | 500           | 300
        2            | web   | after   | 500           | 500           | 300
        3            | all   | later   | 20            | 20            | 10
        3            | all   | after   | 90            | 90            | 50
    """
    steps = "funnel | funnel_index | step_index | step\norder | 1 | 2 | paid"
    with DuckDBEngine(threads=1) as engine:
        for name, text in (
            ("config.actions", actions),
            ("config.funnel_steps", steps),
            ("config.settings", "min_count\n30"),
            ("analyses.action_cells", cells),
        ):
            create(engine, name, {column: each.type for column, each in GRAPH[name].columns.items()}, text)
        engine.register("analyses.action_effects", action_effects(engine))
        assert require_checks(engine, [GRAPH["analyses.action_effects"]]) > 5
        rows = {row["action"]: row for row in engine.rows("select * from analyses.action_effects").to_pylist()}
    wallet = rows["wallet"]
    assert (wallet["before_count"], wallet["after_count"], wallet["ramp_count"], wallet["pending_count"]) == (
        400,
        300,
        7,
        9,
    )
    assert wallet["effect"] == pytest.approx(0.2)
    assert wallet["effect_low"] > 0.1
    assert wallet["grade"] == "compared"
    assert "50.0 % of 400 before, 70.0 % of 300 since; others +0.0; effect +20.0 points" in wallet["headline"]
    assert rows["drifted"]["grade"] == "trending"
    assert rows["drifted"]["placebo_effect"] == pytest.approx(0.4)
    alone = rows["alone"]
    assert (alone["grade"], alone["is_small"], alone["effect_low"]) == ("before_after", True, None)
    assert (rows["planned"]["grade"], rows["planned"]["effect"]) == ("too_early", None)
