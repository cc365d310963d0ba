"""Clocks that are set back or wrong, and days of 23 and 25 hours: no run is lost, no figure moves."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

import journeyflow
from external.projects import Project
from journeyflow.config import load_config
from journeyflow.engines import DuckDBEngine
from journeyflow.operations.rebuild import rebuild, replay, verify
from support.clocks import set_clock

BUILT = ("marts.funnel_trend", "insights.blind_spots")

CONFIG = """
project: clocks
timezone: Europe/Berlin
sources:
  web:
    format: csv
    path: web/*.csv
    channel: web
    columns: {event_id: id, occurred_at: at, anonymous_id: cookie, event_name: event}
retention: {raw: 30d, generations: 3}
funnels:
  order:
    steps: [{name: seen, when: {event: product_view}}, {name: paid, when: {event: purchase}}]
    window: 2d
"""
EVENING = datetime(2026, 5, 10, 2)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class Clock:
    """The time of day as a run reads it; it stands still until it is set."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture
def clock(monkeypatch):
    clock = Clock(EVENING)
    set_clock(monkeypatch, clock)
    return clock


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "journeyflow.yml").write_text(CONFIG, encoding="utf-8")
    (tmp_path / "web").mkdir()
    return tmp_path


def add_file(folder, name, *times, event="product_view"):
    rows = [f"{name}-{at},{stamp:%Y-%m-%d %H:%M:%S},{name}-{at},{event}" for at, stamp in enumerate(times)]
    (folder / "web" / f"{name}.csv").write_text("\n".join(["id,at,cookie,event", *rows]) + "\n", encoding="utf-8")


def ledger(folder, query):
    with DuckDBEngine(folder / "state" / "warehouse.duckdb", read_only=True) as warehouse:
        return warehouse.rows(query).to_pylist()


def test_ids_sort_by_the_order_of_the_runs_whatever_the_clock_does(folder, clock):
    """Back by an hour in autumn, back by a year, standing still, and on again."""
    add_file(folder, "a", EVENING - 3 * DAY)
    ids = []
    for at in (EVENING, EVENING, EVENING - HOUR, EVENING - 365 * DAY, EVENING + DAY, EVENING + DAY):
        clock.at = at
        ids.append(journeyflow.run(folder).run_id)
    assert ids == sorted(set(ids))
    generations = sorted(path.name for path in (folder / "published" / "generations").iterdir())
    assert generations == ids[-3:]
    assert (folder / "published" / "current").resolve().name == ids[-1]
    rows = Project(folder).table("runs").sort("run_id")
    assert rows["run_id"].to_list() == ids
    assert rows["started_at"].to_list()[3] == EVENING - 365 * DAY  # The time of the clock is kept.
    assert (rows["finished_at"] >= rows["started_at"]).all()
    assert rows["elapsed_seconds"].min() > 0


def test_a_clock_set_back_during_a_run_fails_no_check(folder, clock):
    from journeyflow.pipeline.run import Run as Running

    add_file(folder, "a", EVENING - 3 * DAY)
    with Running(load_config(folder)) as run:
        clock.at = EVENING - 5 * HOUR
        assert run.execute().status == "published"
    (row,) = ledger(folder, "select * from ledger.runs")
    assert row["finished_at"] >= row["started_at"] == EVENING
    assert row["elapsed_seconds"] > 0


def test_ids_go_on_after_the_warehouse_was_lost(folder, clock):
    add_file(folder, "a", EVENING - 3 * DAY)
    first = journeyflow.run(folder).run_id
    (folder / "state" / "warehouse.duckdb").unlink()
    clock.at = EVENING - HOUR
    assert journeyflow.run(folder).run_id > first


def test_files_first_met_later_than_now_count_once_and_are_kept(folder, clock):
    add_file(folder, "a", EVENING - 3 * DAY, EVENING - 2 * DAY)
    journeyflow.run(folder)
    clock.at = EVENING - 20 * DAY
    report = journeyflow.run(folder)
    assert (report.record_count, report.event_count) == (0, 2)
    (known,) = ledger(folder, "select first_loaded_at, is_loaded from ledger.files")
    assert known == {"first_loaded_at": EVENING, "is_loaded": True}
    assert len(list((folder / "state" / "raw").glob("*.records.parquet"))) == 1
    verify(load_config(folder))


def test_a_clock_that_may_be_ahead_removes_nothing_for_its_age(folder, clock):
    """The pause is told; if the clock was right, the next run removes what is over."""
    add_file(folder, "a", EVENING - 3 * DAY)
    journeyflow.run(folder)
    clock.at = EVENING + 31 * DAY
    report = journeyflow.run(folder)
    assert report.event_count == 1
    assert any("31 days after the last run" in alert for alert in report.alerts)
    assert list((folder / "state" / "raw").glob("*.records.parquet"))
    clock.at += DAY
    report = journeyflow.run(folder)
    assert not any("after the last run" in alert for alert in report.alerts)
    assert not list((folder / "state" / "raw").glob("*.records.parquet"))


def test_one_run_by_a_clock_that_is_ahead_destroys_nothing(folder, clock):
    add_file(folder, "a", EVENING - 3 * DAY)
    os.utime(folder / "web" / "a.csv", (EVENING.replace(tzinfo=UTC).timestamp(),) * 2)
    journeyflow.run(folder)
    (folder / "web" / "a.csv").unlink()
    add_file(folder, "b", EVENING, EVENING + 5 * 365 * DAY)
    os.utime(folder / "web" / "b.csv", (EVENING.replace(tzinfo=UTC).timestamp(),) * 2)
    clock.at = EVENING + 3650 * DAY
    report = journeyflow.run(folder)
    assert (report.event_count, report.high_water_at) == (2, EVENING)
    assert report.alerts
    clock.at = EVENING + DAY
    assert journeyflow.run(folder).high_water_at == EVENING
    verify(load_config(folder))
    assert rebuild(load_config(folder)).event_count == 2


def test_a_monthly_schedule_is_no_jump_from_its_third_run_on(folder, clock):
    add_file(folder, "a", EVENING - 3 * DAY)
    found = []
    for _ in range(3):
        found.append(any("after the last run" in alert for alert in journeyflow.run(folder).alerts))
        clock.at += 30 * DAY
    assert found == [False, True, False]


def test_what_a_slow_clock_took_for_the_future_is_an_alert_and_comes_in_by_a_replay(folder, clock):
    add_file(folder, "a", EVENING - 3 * DAY)
    journeyflow.run(folder)
    add_file(folder, "b", EVENING - HOUR, EVENING)
    clock.at = EVENING - DAY
    report = journeyflow.run(folder)
    assert (report.event_count, report.quarantined_count) == (1, 2)
    assert "future 2" in report.alerts[0]
    clock.at = EVENING + HOUR
    assert journeyflow.run(folder).event_count == 1  # When it was first met is kept,
    replay(load_config(folder), reason="future")  # until a replay resets it.
    report = journeyflow.run(folder)
    assert report.event_count == 3
    assert ledger(folder, "select count(*) as n from raw.quarantine") == [{"n": 0}]
    verify(load_config(folder))
    assert rebuild(load_config(folder)).event_count == 3


def test_what_is_still_in_the_future_stays_in_quarantine_after_a_replay(folder, clock):
    add_file(folder, "a", EVENING - 3 * DAY, EVENING + 9 * DAY)
    journeyflow.run(folder)
    clock.at = EVENING + DAY
    replay(load_config(folder), reason="future")
    assert journeyflow.run(folder).event_count == 1


@pytest.mark.parametrize(
    ("middle", "hours"),
    [(date(2026, 3, 29), [24, 23, 24]), (date(2026, 10, 25), [24, 25, 24])],
    ids=["into summer", "into winter"],
)
@pytest.mark.parametrize("run_count", [1, 3])
def test_local_days_have_as_many_hours_as_they_have(folder, clock, middle, hours, run_count):
    """One person an hour of real time; the runs begin in the hour that is skipped or comes twice."""
    first = datetime(middle.year, middle.month, middle.day) - timedelta(hours=26 if middle.month == 10 else 25)
    times = [first + n * HOUR for n in range(sum(hours))]
    size = -(-len(times) // run_count)
    for number in range(run_count):
        add_file(folder, f"part{number}", *times[number * size : (number + 1) * size])
        clock.at = times[min((number + 1) * size, len(times)) - 1] + HOUR / 2
        journeyflow.run(folder)
    trend = Project(folder).table("funnel_trend")
    entered = trend.filter((pl.col("funnel") == "order") & (pl.col("persona") == "all") & (pl.col("step_index") == 1))
    found = dict(zip(entered["entry_date"].to_list(), entered["person_count"].to_list(), strict=True))
    assert found == {middle + offset * DAY: count for offset, count in zip((-1, 0, 1), hours, strict=True)}
    last = datetime(middle.year, middle.month, middle.day, tzinfo=UTC)
    with DuckDBEngine(folder / "state" / "build.duckdb", read_only=True) as build:
        days = build.rows("select day, date_diff('hour', start_at, end_at) as hours from config.days").to_pylist()
    assert {row["day"]: row["hours"] for row in days}[last.date()] == hours[1]
