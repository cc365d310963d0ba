"""What an ordered funnel counts: everyone that a funnel's spec must contain."""

from __future__ import annotations

from support.kernel_specs import assert_attempts, attempts

STEPS = "view > cart > pay"


def test_the_people_of_every_funnel():
    log = """
        straight: view@0s cart@1h pay@2h
        repeats: view@0s view@1h cart@2h pay@3h
        disorder: view@0s pay@1h cart@2h
        second_try: view@0s view@8d cart@9d pay@10d
        just_inside: view@0s cart@1h pay@7d
        just_outside: view@0s cart@1h pay@7d1us
        elsewhere: help@0s
        never_began: cart@0s pay@1h
    """
    expected = """
        who          | depth | entered | reached    | outcome
        straight     | 3     | 0s      | 0s 1h 2h   | converted
        repeats      | 3     | 0s      | 0s 2h 3h   | converted
        disorder     | 2     | 0s      | 0s 2h      | dropped
        second_try   | 3     | 8d      | 8d 9d 10d  | converted
        just_inside  | 3     | 0s      | 0s 1h 7d   | converted
        just_outside | 2     | 0s      | 0s 1h      | dropped
    """
    assert_attempts(log, STEPS, expected)


def test_nobody_at_all():
    assert attempts("", STEPS) == []


def test_a_later_attempt_counts_when_it_goes_deeper():
    log = "ann: view@0s cart@6d view@6d12h pay@8d cart@9d pay@10d"
    assert_attempts(log, STEPS, "depth | entered\n3 | 6d12h")


def test_the_earliest_of_equal_attempts_counts():
    log = "ann: view@0s cart@1h view@10d cart@11d"
    assert_attempts(log, STEPS, "depth | entered | reached\n2 | 0s | 0s 1h")


def test_someone_without_a_user_is_stitched_later_and_counts_once():
    log = """
        ?kiosk: view@0s
        ann: cart@5m/kiosk pay@10m/kiosk
    """
    # On a shared device the first event stays with the device: nothing tells whose it was.
    assert_attempts(log, STEPS, "who | depth\nkiosk | 1", shared=("kiosk",))
    later = """
        ann: view@0s/kiosk
        ?kiosk: cart@5m pay@10m
    """
    assert_attempts(later, STEPS, "who | depth\nann | 3", shared=("kiosk",))


def test_an_event_may_serve_one_step_only():
    assert_attempts("ann: view@0s", "view > view", "depth\n1")
    assert_attempts("ann: view@0s view@0s", "view > view", "depth\n2")


def test_the_window_runs_from_step_one_and_not_from_the_step_before():
    assert_attempts("ann: view@0s cart@6d pay@8d", STEPS, "depth\n2")


def test_a_step_may_be_bounded_from_the_step_before():
    steps = "view > cart > pay [1d]"
    assert_attempts("ann: view@0s cart@1h pay@2d", steps, "depth | closes\n2 | 1d1h")
    assert_attempts("ann: view@0s cart@1h pay@1d1h", steps, "depth\n3")
    # The first cart is too early for the order, a later one is not: the attempt goes on from it.
    assert_attempts("ann: view@0s cart@1h cart@2d pay@2d1h", steps, "depth | reached\n3 | 0s 2d 2d1h")


def test_an_empty_condition_matches_any_event():
    assert_attempts("ann: view@0s help@1h", "view > *", "depth | reached\n2 | 0s 1h")


def test_the_dates_gate_step_one_only():
    log = """
        before: view@23h cart@1d1h
        inside: view@1d cart@3d
        after: view@2d cart@2d1h
    """
    assert_attempts(log, "view > cart", "who | depth\ninside | 2", entered=("1d", "2d"))


def test_an_event_named_in_no_step_changes_nothing_here_but_breaks_a_strict_funnel():
    plain, disturbed = "ann: view@0s cart@1h pay@2h", "ann: view@0s help@30m cart@1h pay@2h"
    assert attempts(plain, STEPS) == attempts(disturbed, STEPS)
    assert_attempts(plain, STEPS, "depth\n3", order="strict")
    assert_attempts(disturbed, STEPS, "depth\n1", order="strict")


def test_all_attempts_count_one_after_another():
    log = "ann: view@0s cart@1h view@1h pay@2h view@3h cart@4h view@20d"
    expected = """
        depth | entered | outcome
        3     | 0s      | converted
        2     | 3h      | dropped
        1     | 20d     | dropped
    """
    assert_attempts(log, STEPS, expected, is_attempts=True)


def test_grace_lets_a_step_precede_the_one_before_it():
    log = "ann: cart@0s view@1m pay@2m"
    assert_attempts(log, STEPS, "depth\n1")
    # Both steps take the later time.
    assert_attempts(log, STEPS, "depth | entered | reached\n3 | 1m | 1m 1m 2m", grace="1m")
    assert_attempts(log, STEPS, "depth\n1", grace="59s")
