"""Converted, pending or dropped; exclusions; matured; the best attempt of a day."""

from __future__ import annotations

from support.kernel_specs import Log, assert_attempts, found_in, funnel_of, plan_for

STEPS = "view > cart > pay"


def test_pending_until_the_window_is_past_the_high_water_mark():
    log = "ann: view@0s cart@1h"
    assert_attempts(log, STEPS, "outcome | matured | closes\npending | no | 7d", high_water="6d23h")
    assert_attempts(log, STEPS, "outcome | matured | closes\ndropped | yes | 7d", high_water="7d")


def test_a_deadline_of_the_next_step_ends_the_waiting_early():
    steps = "view > cart > pay [1d]"
    assert_attempts("ann: view@0s cart@1h", steps, "outcome | matured\npending | no", high_water="1d")
    assert_attempts("ann: view@0s cart@1h", steps, "outcome | matured\ndropped | no", high_water="2d")
    # The latest cart that may still be followed is what counts.
    log = "ann: view@0s cart@1h cart@2d"
    assert_attempts(log, steps, "depth | reached | closes | outcome\n2 | 0s 1h | 3d | pending", high_water="2d12h")


def test_an_excluded_event_drops_at_once():
    log = "ann: view@0s cart@1h fail@2h pay@3h"
    expected = "depth | outcome | closes\n2 | dropped | 2h"
    assert_attempts(log, STEPS, expected, exclusions=[(2, 3, "fail", "drop")], high_water="1d")


def test_an_excluded_event_matters_only_between_its_steps():
    for log in (
        "ann: view@0s fail@30m cart@1h pay@3h",
        "ann: fail@0s view@1m cart@1h pay@3h",
        "ann: view@0s cart@1h pay@3h fail@4h",
        "ann: view@0s cart@1h fail@1h pay@3h",
        "ann: view@0s cart@1h fail@3h pay@3h",
    ):
        assert_attempts(log, STEPS, "depth\n3", exclusions=[(2, 3, "fail", "drop")])


def test_an_exclusion_before_the_windows_end_closes_an_attempt_whose_step_never_comes():
    log = "ann: view@0s cart@1h fail@6d"
    expected = "depth | outcome | closes\n2 | dropped | 6d"
    assert_attempts(log, STEPS, expected, exclusions=[(2, 3, "fail", "drop")], high_water="6d1h")


def test_a_unit_with_only_void_attempts_leaves_the_funnel():
    log = """
        out: view@0s cart@1h fail@2h pay@3h
        again: view@0s cart@1h fail@2h view@1d cart@2d pay@3d
        stays: view@0s fail@1h
    """
    expected = """
        who   | depth | entered
        again | 3     | 1d
        stays | 1     | 0s
    """
    assert_attempts(log, STEPS, expected, exclusions=[(2, 3, "fail", "person")])


def test_after_an_exclusion_the_next_attempt_may_open():
    log = "ann: view@0s cart@1h fail@2h view@2h view@3h cart@4h pay@5h"
    expected = """
        depth | entered
        2     | 0s
        3     | 3h
    """
    assert_attempts(log, STEPS, expected, exclusions=[(2, 3, "fail", "drop")], is_attempts=True)


def test_each_day_has_its_best_attempt():
    log = Log("ann: view@1h view@2h cart@20h view@2d pay@3d")
    tables = found_in(log, plan_for(log, funnels=(funnel_of(log, STEPS),)))
    days = [(row["entry_day"], row["depth"]) for row in tables["kernel.funnel_days"]]
    assert sorted(days) == [(0, 3), (2, 1)]
