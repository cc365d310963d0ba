"""Offline complaints: persons without a device, dates without a clock, letters beyond ASCII."""

import pytest

from external import oracle
from external.reconcile import assert_reconciles


@pytest.fixture(scope="module")
def rows(external_data):
    return oracle.rows_of(external_data / "complaints" / "BPI2016_Complaints.csv", encoding="latin-1", delimiter=";")


def test_everything_adds_up(project):
    assert_reconciles(project)


def test_rows_and_persons(project, rows):
    persons = {row["CustomerID"] for row in rows}
    assert 289 == len(rows) == project.audit("accepted_count")
    assert (
        226 == len(persons) == project.entered("complaining") == project.table("person_stages")["person_id"].n_unique()
    )


def test_who_complains_again_within_a_year(project, rows):
    complaints = [
        oracle.Seen(
            "complaint", oracle.microseconds(row["ContactDate"]), user=row["CustomerID"], event_id=row["ComplaintID"]
        )
        for row in rows
    ]
    groups = oracle.by(complaints, lambda event: event.user).values()
    assert project.steps("complaining") == oracle.reached(groups, ["complaint", "complaint"], window=365 * oracle.DAY)


def test_offline_events_belong_to_no_session(project):
    assert project.entered("sessions") == 0
