"""Whatever happens between runs, and to them: what is published equals one run over all files.

One walk past every kind of change in CI; random ones in `make soak`.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from properties.run_state_machine import RunHistory

WALKS = int(os.environ.get("JOURNEYFLOW_EXAMPLES", "1"))
IS_LONG = "JOURNEYFLOW_EXAMPLES" in os.environ


@pytest.mark.long
def test_any_walk_publishes_what_one_run_would():
    run_state_machine_as_test(
        RunHistory,
        settings=settings(
            max_examples=WALKS,
            stateful_step_count=40 if IS_LONG else 8,
            deadline=None,
            derandomize=not IS_LONG,
            # A run takes seconds; the steps of a failure say enough.
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.fixture
def walk():
    machine = RunHistory()
    machine.open_the_shop(11)
    yield machine
    machine.teardown()


def test_a_walk_past_everything_that_moves_a_figure_without_its_person_acting(walk):
    """Each pair is a change whose effect reaches people that no new event names, and the run that must notice."""
    walk.a_quiet_time_passes(6)  # Pending outcomes mature, and the month changes.
    walk.run()
    walk.two_accounts_become_one(3)
    walk.an_event_falls_between_two(5)
    walk.run()
    walk.traits_change(2)
    walk.something_new_happens(4)
    walk.an_unknown_account_is_named(3)
    walk.run()
    walk.that_account_acts(3)
    walk.an_event_comes_with_another_content(1, later=False)
    walk.a_device_turns_out_to_be_shared(8)
    walk.a_bot_comes(2)
    walk.run()
    assert walk.project.interrupted(150)
    walk.a_rule_changes("where")  # Events go, though no file does.
    walk.run()
    walk.a_person_is_erased(2)
    walk.a_late_file_comes(9)
    walk.run_as_of_an_earlier_day(4)
    walk.run()
