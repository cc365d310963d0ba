"""Events at one instant: they convert in step order, or they do not; a sequence of the source decides."""

from __future__ import annotations

import pytest

from support.kernel_specs import assert_attempts, attempts


def test_tied_events_convert_in_step_order_by_default():
    log = "ann: pay@1h cart@1h view@1h"
    assert_attempts(log, "view > cart > pay", "depth | tie\n3 | yes")
    assert_attempts(log, "view > cart > pay", "depth | tie\n1 | yes", is_strictly_later=True)


def test_tied_events_of_which_one_matches_two_steps_take_one_step_each():
    log = "ann: view@0s cart@1h pay@1h"
    steps = "view > cart > cart > pay"
    assert_attempts(log, steps, "depth | tie\n2 | no")
    assert_attempts(log, steps, "depth | tie\n2 | no", is_strictly_later=True)


def test_a_common_sequence_is_an_order_and_not_a_tie():
    log = "ann: view@1h#3 cart@1h#2"
    assert_attempts(log, "view > cart", "depth | tie\n1 | no")
    in_order = "ann: view@1h#2 cart@1h#3"
    assert_attempts(in_order, "view > cart", "depth | tie\n2 | no")
    assert_attempts(in_order, "view > cart", "depth | tie\n2 | no", is_strictly_later=True)


def test_equal_sequences_tie():
    assert_attempts("ann: cart@1h#2 view@1h#2", "view > cart", "depth | tie\n2 | yes")


def test_one_event_without_a_sequence_leaves_the_instant_tied():
    assert_attempts("ann: view@1h#3 cart@1h#2 help@1h", "view > cart", "depth | tie\n2 | yes")


def test_strictly_later_with_a_repeated_step_needs_every_attempt():
    # One state a step would let the second view overwrite the first, and find one step.
    log = "ann: view@0s view@1h view@1h cart@1h"
    assert_attempts(log, "view > view > cart", "depth\n2", is_strictly_later=True)
    assert_attempts(log, "view > view > cart", "depth\n3")
    assert_attempts(log + " cart@2h", "view > view > cart", "depth\n3", is_strictly_later=True)


@pytest.mark.parametrize("order", ["ordered", "strict", "any_order"])
def test_no_tie_is_decided_where_none_matters(order):
    log = "ann: view@0s help@1h wait@1h cart@1h pay@2h"
    assert not any(row["tie"] for row in attempts(log, "view > pay", order=order))


def test_inside_a_tie_foreign_events_do_not_break_a_strict_chain():
    log = "ann: view@0s help@1h cart@1h pay@2h"
    assert_attempts(log, "view > cart > pay", "depth\n3", order="strict")
    assert_attempts("ann: view@0s help@59m cart@1h pay@2h", "view > cart > pay", "depth\n1", order="strict")
