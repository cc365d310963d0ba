"""Exits: the last touchpoint before one, and the next action."""

from __future__ import annotations

from typing import Any

from support.kernel_specs import Log, found_in, funnel_of, plan_for


def exit_of(text: str, step: int, steps: str = "view > cart > pay", **settings: Any) -> tuple[str, str]:
    log = Log(text)
    tables = found_in(log, plan_for(log, funnels=(funnel_of(log, steps, **settings),)))
    (row,) = (row for row in tables["kernel.funnel_reaches"] if row["step_index"] == step)
    following = row["next_event_type_ix"]
    return log.names[row["last_event_type_ix"]], "none" if following is None else log.names[following]


def test_the_last_event_of_the_session_that_holds_the_deepest_event():
    assert exit_of("ann: view@0s cart@1m help@2m look@20m later@3d", 2) == ("look", "later")


def test_nothing_comes_after_the_close():
    assert exit_of("ann: view@0s cart@1m later@7d1us", 2) == ("cart", "none")
    assert exit_of("ann: view@0s cart@1m help@7d", 2) == ("cart", "help")


def test_an_offline_event_is_its_own_touchpoint():
    assert exit_of("ann: view@0s CALL@1m help@2m", 2, "view > CALL > pay") == ("CALL", "help")


def test_an_offline_event_inside_the_session_is_not_of_it_but_may_come_next():
    assert exit_of("ann: view@0s cart@1m CALL@2m help@3m MAIL@1d", 2) == ("help", "MAIL")


def test_the_excluded_event_itself_is_past_the_close():
    log = "ann: view@0s cart@1m help@2m fail@3m look@4m"
    assert exit_of(log, 2, exclusions=[(2, 3, "fail", "drop")]) == ("help", "none")


def test_the_exit_of_a_step_that_was_passed_is_the_next_step():
    log = "ann: view@0s help@1m cart@2m pay@3m"
    assert exit_of(log, 1) == ("help", "none")
    assert exit_of("ann: view@0s look@1h cart@2h", 1) == ("view", "look")


def test_a_session_ends_with_itself_so_its_person_acts_next():
    steps = {"steps": "view > cart > pay", "unit": "session"}
    assert exit_of("ann: view@0s cart@1m help@2m look@2h later@3d", 2, **steps) == ("help", "look")
    assert exit_of("ann: view@0s cart@1m CALL@2m help@3m MAIL@1d", 2, **steps) == ("help", "MAIL")
    assert exit_of("ann: view@0s cart@1m help@2m later@7d1us", 2, **steps) == ("help", "none")
    assert exit_of("ann: view@0s cart@1m help@2m\nbob: look@1h", 2, **steps) == ("help", "none")
    closed = {"exclusions": [(2, 3, "fail", "drop")], **steps}
    assert exit_of("ann: view@0s cart@1m help@2m fail@3m look@2h", 2, **closed) == ("help", "none")
    assert exit_of("ann: view@0s help@1m cart@2m look@2h", 1, **steps) == ("help", "none")
