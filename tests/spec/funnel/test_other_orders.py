"""Strict and any-order funnels."""

from __future__ import annotations

from support.kernel_specs import assert_attempts

STEPS = "view > cart > pay"


def test_strict_asks_for_the_very_next_event():
    log = """
        next: view@0s cart@1h pay@2h
        again: view@0s view@1h cart@2h pay@3h
        offline_between: view@0s CALL@1h cart@2h pay@3h
    """
    expected = """
        who             | depth | entered
        next            | 3     | 0s
        again           | 3     | 1h
        offline_between | 1     | 0s
    """
    assert_attempts(log, STEPS, expected, order="strict")


def test_any_order_counts_the_steps_done_inside_the_window():
    log = """
        backwards: pay@0s cart@1h view@2h
        only_two: pay@0s view@2h
        too_late: pay@0s cart@1h view@8d
        starts_late: help@0s cart@1h
    """
    expected = """
        who         | depth | entered | reached
        backwards   | 3     | 0s      | 0s 1h 2h
        only_two    | 2     | 0s      | 0s 2h
        too_late    | 2     | 0s      | 0s 1h
        starts_late | 1     | 1h      | 1h
    """
    assert_attempts(log, STEPS, expected, order="any_order")


def test_any_order_gives_distinct_events_to_distinct_steps():
    # The first view could be either step; the cart can only be the second.
    assert_attempts("ann: view@0s cart@1h", "view|cart > cart > pay", "depth\n2", order="any_order")
    assert_attempts("ann: view@0s view@1h", "view > cart|view > pay", "depth\n2", order="any_order")
    assert_attempts("ann: view@0s view@1h", "view > cart > pay", "depth\n1", order="any_order")


def test_tied_events_take_one_step_between_them_when_only_later_ones_convert():
    log = "ann: view@0s cart@1h pay@1h"
    assert_attempts(log, STEPS, "depth | tie\n3 | yes", order="any_order")
    assert_attempts(log, STEPS, "depth | tie\n2 | yes", order="any_order", is_strictly_later=True)


def test_sessions_as_units():
    log = "ann: view@0s cart@10m view@2h cart@2h10m pay@2h20m STORE@2h25m"
    expected = """
        who | depth | entered
        ann | 2     | 0s
        ann | 3     | 2h
    """
    assert_attempts(log, STEPS, expected, unit="session")
