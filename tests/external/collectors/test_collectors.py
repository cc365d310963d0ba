"""Small exports of several collectors: each loads completely, and what does not is reported."""

import pytest

from external.reconcile import assert_reconciles

ENDS = ["record_count", "accepted_count", "quarantined_count"]


def test_everything_adds_up(project):
    assert_reconciles(project)


@pytest.mark.parametrize(
    ("file", "truth"),
    [
        ("amplitude_event_data.csv", (10, 10, 0)),
        ("mixpanel/event.csv", (5, 5, 0)),
        ("event_data.csv", (6, 6, 0)),
        ("events.ndjson", (2, 0, 2)),
        ("pendo/event.csv", (5, 5, 0)),
        ("event_v2_session_dataset.json", (10, 10, 0)),
        ("01-suiteid_2015-02-10.tsv.gz", (10, 10, 0)),
    ],
)
def test_a_file_loads(project, file, truth):
    audit = project.table("load_audit")
    rows = [row for row in audit.select("source_file", *ENDS).rows() if row[0].endswith(f"/{file}")]
    assert [row[1:] for row in rows] == [truth]


def test_the_same_content_is_not_loaded_twice(project):
    assert project.warehouse_rows("select count(*) from raw.events where source = 'adobe'") == [(10,)]


def test_a_row_without_a_person_is_quarantined(project):
    reasons = project.warehouse_rows("select distinct reason from raw.quarantine")
    assert len(reasons) == 1
    assert "id" in reasons[0][0]


def test_visitors_of_adobe_are_hashed(project):
    (visitors, raw), *_ = project.warehouse_rows(
        "select count(distinct anonymous_id), count(*) filter (where anonymous_id similar to '[0-9]+') "
        "from raw.events where source = 'adobe'"
    )
    assert visitors > 1
    assert raw == 0
