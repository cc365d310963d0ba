"""165,474 clicks without a clock: the shop's own sessions and order."""

import pytest

from external import oracle
from external.reconcile import assert_reconciles


@pytest.fixture(scope="module")
def sessions(external_data):
    events = oracle.eshop(external_data / "eshop_2008" / "clickstream.zip")
    return oracle.by(events, lambda event: event.session)


def test_everything_adds_up(project):
    assert_reconciles(project)


def test_every_click_is_accepted(project, sessions):
    assert (
        165_474 == sum(map(len, sessions.values())) == project.audit("accepted_count") == project.audit("record_count")
    )


def test_the_archive_is_hardly_larger_than_the_input(project, external_data):
    archived = sum(path.stat().st_size for path in (project.folder / "state" / "raw").glob("*.records.parquet"))
    assert 0 < archived <= 1.3 * (external_data / "eshop_2008" / "clickstream.zip").stat().st_size


def test_sessions_and_single_clicks(project, sessions):
    single = sum(len(clicks) == 1 for clicks in sessions.values())
    assert [24_026, 24_026 - 5_042] == [len(sessions), len(sessions) - single] == project.steps("sessions")


def test_single_clicks_drop_at_the_first_step(project):
    first = project.steps("sessions", "drop_off_count")[0], project.steps("sessions", "pending_count")[0]
    assert sum(first) == 5_042
    assert project.steps("sessions", "tie_decided_count")[0] == 0
