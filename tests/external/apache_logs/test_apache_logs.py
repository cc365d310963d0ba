"""A blog's access log: every line accounted for, nothing invented."""

from collections import Counter

import polars as pl
import pytest

from external import oracle
from external.maps import cells_of, report_data_of
from external.projects import run_project, write_config
from external.reconcile import assert_reconciles


@pytest.fixture(scope="module")
def log(external_data):
    return oracle.access_log(external_data / "apache_logs" / "apache_logs")


@pytest.fixture(scope="module")
def without_bots(request, external_data, tmp_path_factory):
    swap = [("{bots: none}", "{bots: builtin}")]
    folder = tmp_path_factory.mktemp("without_bots")
    return run_project(write_config(request.path.parent / "journeyflow.yml", folder, external_data, swap=swap))


def test_everything_adds_up(project, without_bots):
    assert_reconciles(project)
    assert_reconciles(without_bots)


def test_one_line_is_quarantined(project, log):
    events, unread = log
    assert [project.audit(f"{end}_count") for end in ("record", "accepted", "quarantined", "duplicate")] == [
        10_000,
        9_999,
        1,
        0,
    ]
    assert len(events) == 9_999
    assert [8_899] == unread == [row for (row,) in project.warehouse_rows("select source_row from raw.quarantine")]


def test_sessions_by_address_and_agent(project, log):
    assert 3_223 == len(oracle.gap_sessions(log[0])) == project.entered("sessions")
    assert len({event.device for event in log[0]}) == project.entered("visitors")


def test_repeated_lines_are_events_of_their_own(project, log):
    lines = Counter(event.detail["line"] for event in log[0])
    assert sum(count - 1 for count in lines.values()) == 19
    assert project.warehouse_rows("select count(*), count(distinct event_id) from raw.events") == [(9_999, 9_999)]


def test_bots_are_left_out(project, without_bots, log):
    hits = project.kinds("four_stage") - without_bots.kinds("four_stage")
    # Our list also knows a feed reader on a server and a configuration client, which the source's figure leaves in.
    further = sum(event.detail["agent"].startswith(("Tiny Tiny RSS", "Chef Client")) for event in log[0])
    assert further == 198 + 61
    assert hits - further == pytest.approx(2_067, rel=0.03)
    assert without_bots.audit("accepted_count") == 9_999


def test_no_purchase_is_invented(project):
    names = set(project.table("event_kinds")["event_name"])
    assert not names & {"purchase", "add_to_cart", "checkout_started", "refund"}
    assert project.steps("buyers") == [0, 0]
    assert project.steps("buyers", "conversion_rate") == [None, None]


def test_the_map_leaves_open_what_a_log_cannot_know(project):
    report_data = report_data_of(project)
    assert [model.key for model in report_data.models] == ["four_stage"]
    found = report_data.map_of("four_stage")
    assert [stage.reached.value for stage in found.reached] == [1_861, 0, 0, 0]
    later = [cell for row in found.rows if row.key != "people" for cell in row.cells if cell.stage != "awareness"]
    assert {cell.evidence for cell in later} == {"unknown"}
    assert {cell.note for cell in later} - {""}
    assert [item.text for item in cells_of(report_data, "four_stage", "touchpoints")["awareness"].items] == [
        "web: page_view"
    ]
    assert found.opportunities == ()
    assert {spot.subject for spot in report_data.blind_spots if spot.kind_label == "stage never seen"} == {
        f"four_stage: {stage}" for stage in ("consideration", "decision", "post_purchase")
    }


def test_no_address_is_stored(project):
    text = " || ' ' || ".join(f"coalesce(cast({column} as varchar), '')" for column in ("anonymous_id", "properties"))
    with_address = project.warehouse_rows(
        f"select count(*) from raw.events where regexp_matches({text}, '\\d+\\.\\d+\\.\\d+\\.\\d+')"
    )
    assert with_address == [(0,)]
    raw = pl.Series([row for (row,) in project.warehouse_rows("select raw from raw.quarantine")])
    assert len(raw) == 1
