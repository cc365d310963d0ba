"""What a later run changes of days already published is listed, with the reason; what time alone changes is not."""

from __future__ import annotations

import json
from datetime import date, datetime

import polars as pl
import pytest

import journeyflow
from journeyflow.config import load_config
from journeyflow.pipeline import run
from journeyflow.pipeline.run_report import compare, with_causes
from support.order_project import ONE_FUNNEL
from support.templates import built_once, copy_of

BUILT = ("insights.restatements",)

FIRST = """id,at,cookie,customer,event
1,2026-03-01 10:00:00,a,,product_view
2,2026-03-01 11:00:00,b,,product_view
3,2026-03-01 12:00:00,b,,purchase
4,2026-03-10 10:00:00,c,,page_view
"""
QUIET = """id,at,cookie,customer,event
5,2026-03-12 10:00:00,c,,product_view
"""
LATE = """id,at,cookie,customer,event
6,2026-03-02 09:00:00,a,,purchase
"""
JOINED = """id,at,cookie,customer,event
7,2026-03-12 10:00:00,a,ann,page_view
8,2026-03-12 10:00:00,b,ann,page_view
"""


@pytest.fixture
def project(tmp_path):
    """A project that has not run."""
    return _new(tmp_path / "shop")


@pytest.fixture
def begun(tmp_path, tmp_path_factory):
    """A copy of a project after its first run."""
    template = built_once(tmp_path_factory, "restatements", lambda folder: run_with(_new(folder), first=FIRST))
    return copy_of(template, tmp_path / "begun")


def _new(folder):
    (folder / "web").mkdir(parents=True)
    (folder / "journeyflow.yml").write_text(ONE_FUNNEL, encoding="utf-8")
    return folder


def run_with(project, **files):
    for name, rows in files.items():
        (project / "web" / f"{name}.csv").write_text(rows, encoding="utf-8")
    journeyflow.run(project)
    with journeyflow.open(project / "published") as published:
        rows = published.table("restatements").to_dicts()
    return [
        (json.loads(row["row_key"]), row["column_name"], row["old_value"], row["new_value"], row["cause"])
        for row in rows
    ]


def restated(rows, *, funnel="order", persona="all"):
    return {
        (key["entry_date"], key["step_index"], column, old, new, cause)
        for key, column, old, new, cause in rows
        if key["funnel"] == funnel and key["persona"] == persona
    }


def test_nothing_moves_when_nothing_new_comes_or_only_time_passes(project):
    assert run_with(project, first=FIRST) == []
    assert run_with(project) == []
    assert run_with(project, quiet=QUIET) == []


def test_a_late_purchase_moves_its_day(begun):
    rows = run_with(begun, late=LATE)
    day = "2026-03-01"
    assert restated(rows) == {
        (day, 1, "converted_count", 1, 2, "late events"),
        (day, 1, "drop_off_count", 1, 0, "late events"),
        (day, 2, "person_count", 1, 2, "late events"),
        (day, 2, "converted_count", 1, 2, "late events"),
    }
    # They stay listed, once.
    assert run_with(begun) == rows


@pytest.mark.parametrize("at", ["2026-03-05 10:00:00", "2026-03-11 10:00:00"])
def test_another_version_of_an_event_moves_the_day_of_the_old_one_and_its_own(project, at):
    """Its file accepts nothing: the event is counted as a duplicate that won."""
    path = project / "journeyflow.yml"
    path.write_text(path.read_text(encoding="utf-8").replace("occurred_at: at", "occurred_at: at, received_at: came"))
    came = [row.replace(",", ",2026-03-20,", 1) for row in FIRST.splitlines()[1:]]
    head = "id,came,at,cookie,customer,event"
    run_with(project, first="\n".join((head, *came)))
    rows = run_with(project, other=f"{head}\n1,2026-03-19,{at},a,,product_view\n")
    moved = restated(rows)
    assert ("2026-03-01", 1, "person_count", 2, 1, "late events") in moved
    assert {cause for *_, cause in moved} == {"late events"}


def test_two_devices_that_turn_out_to_be_one_person(begun):
    assert restated(run_with(begun, joined=JOINED)) == {
        ("2026-03-01", 1, "person_count", 2, 1, "merged identities"),
        ("2026-03-01", 1, "drop_off_count", 1, 0, "merged identities"),
    }


def test_versions_that_come_together_have_moved_nothing(project):
    """The superseded version was never published, so it is no reason."""
    path = project / "journeyflow.yml"
    path.write_text(path.read_text(encoding="utf-8").replace("occurred_at: at", "occurred_at: at, received_at: came"))
    head = "id,came,at,cookie,customer,event"
    came = [row.replace(",", ",2026-03-20,", 1) for row in FIRST.splitlines()[1:]]
    run_with(project, first="\n".join((head, *came)))
    came = [row.replace(",", ",2026-03-20,", 1) for row in JOINED.splitlines()[1:]]
    twice = f"{head}\n7,2026-03-19,2026-03-12 10:00:00,a,ann,page_view\n"
    assert restated(run_with(project, joined="\n".join((head, *came)), twice=twice)) == {
        ("2026-03-01", 1, "person_count", 2, 1, "merged identities"),
        ("2026-03-01", 1, "drop_off_count", 1, 0, "merged identities"),
    }


def test_a_changed_rule_is_the_reason_whatever_else_came(begun):
    path = begun / "journeyflow.yml"
    path.write_text(path.read_text(encoding="utf-8").replace("event: purchase", "event: page_view"), encoding="utf-8")
    causes = {cause for *_, cause in run_with(begun, late=LATE)}
    assert causes == {"changed rules"}


def test_an_earlier_as_of_restates_nothing(begun):
    journeyflow.run(begun, as_of=datetime(2026, 3, 2))
    with journeyflow.open(begun / "published") as published:
        assert published.table("restatements").is_empty()


ROW = {"funnel": "f", "persona": "all", "entry_date": date(2026, 3, 1), "step_index": 1, "is_matured": False}
COUNTS = {"person_count": 5, "converted_count": 2, "drop_off_count": 1, "pending_count": 2}


def trend(**changes):
    return pl.DataFrame([{**ROW, **COUNTS, **changes}])


def test_a_day_whose_windows_run_is_final_only_in_who_entered():
    now = trend(person_count=6, converted_count=4)
    columns = compare(trend(), now, date(2026, 3, 2), frozenset({"f"}))["column_name"]
    assert columns.to_list() == ["person_count"]
    assert compare(trend(), now, date(2026, 3, 2), frozenset()).is_empty()


def test_a_day_that_was_not_over_is_not_final():
    assert compare(trend(is_matured=True), trend(person_count=6), date(2026, 3, 1), frozenset({"f"})).is_empty()


def test_a_persona_that_moved_while_the_total_stayed():
    before = trend(persona="student", is_matured=True)
    moved = compare(before, trend(persona="student", person_count=4), date(2026, 3, 2), frozenset())
    windows = pl.DataFrame({"funnel": ["f"], "window_us": [86_400_000_000]})
    causes = with_causes(moved, windows, [date(2026, 4, 1)], is_ruled_otherwise=False)["cause"]
    assert set(causes) == {"changed personas"}


def test_an_incremental_run_lists_what_it_changed(begun):
    # There are enough other events for an incremental build.
    rows = run_with(begun, late=LATE)
    config = load_config(begun)
    assert run.run(config).built.startswith("incremental")
    assert restated(rows)
    assert restated(run_with(begun, later=LATE.replace("6,", "7,").replace(",a,", ",c,"))) == restated(rows)
    moved = restated(
        run_with(begun, more=LATE.replace("6,", "8,").replace("purchase", "product_view").replace(",a,", ",d,"))
    )
    assert ("2026-03-02", 1, "person_count", None, 1, "late events") in moved


def test_an_erasure_explains_its_days_first_and_else_what_nothing_else_does():
    before = trend(is_matured=True)
    moved = compare(before, trend(person_count=4), date(2026, 3, 2), frozenset())
    windows = pl.DataFrame({"funnel": ["f"], "window_us": [86_400_000_000]})

    def causes(late, erased):
        return set(with_causes(moved, windows, late, erased, is_ruled_otherwise=False)["cause"])

    day, later = date(2026, 3, 1), date(2026, 4, 1)
    assert causes([day], [day]) == {"erasure"}
    assert causes([day], [later]) == {"late events"}
    assert causes([later], [later]) == {"erasure"}
    assert causes([later], None) == {"merged identities"}
