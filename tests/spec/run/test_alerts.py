"""A published run with an anomaly reports it in its exit code, in `runs` and in `blind_spots`."""

from __future__ import annotations

import polars as pl
import pytest
from typer.testing import CliRunner

import journeyflow
from journeyflow.cli.app import app
from journeyflow.config import load_config
from journeyflow.engines import DuckDBEngine
from journeyflow.errors import ExitCode
from journeyflow.operations.rebuild import rebuild, verify
from support.templates import built_once, copy_of

BUILT = ("insights.blind_spots",)

CONFIG = """
project: alerting
sources:
  web:
    format: csv
    path: web/*.csv
    channel: web
    where: {event: {not: ignored}}
    columns: {occurred_at: at, received_at: received, anonymous_id: cookie, event_name: event, user_agent: agent}
  shop:
    format: csv
    path: shop/*.csv
    channel: store
    where: {event: {not: ignored}}
    columns: {occurred_at: at, user_id: customer, event_name: event}
"""
PEOPLE = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
ROBOT = "Googlebot/2.1 (+http://www.google.com/bot.html)"
EVENTS = 120


def web(folder, day, *, bots=2, late=2, unknown=2, event="product_view"):
    """Write a file of `EVENTS` events of 120 devices."""
    rows = [
        f"2026-03-{day:02} 10:00:00,2026-03-{day + 2 * (n < late):02} 10:00:30,c{n},"
        f"{'mystery' if n < unknown else event},{ROBOT if EVENTS - n <= bots else PEOPLE}"
        for n in range(EVENTS)
    ]
    (folder / "web" / f"{day:02}.csv").write_text("\n".join(["at,received,cookie,event,agent", *rows]) + "\n")


def shop(folder, day, event="purchase"):
    (folder / "shop" / f"{day:02}.csv").write_text(f"at,customer,event\n2026-03-{day:02} 12:00:00,ann,{event}\n")


@pytest.fixture
def folder(tmp_path, tmp_path_factory):
    """A copy of a project after eight runs without an anomaly; the ninth file may have one."""
    return copy_of(built_once(tmp_path_factory, "alerts", _run_eight_times), tmp_path / "shop")


def _run_eight_times(folder):
    folder.mkdir()
    (folder / "journeyflow.yml").write_text(CONFIG, encoding="utf-8")
    for name in ("web", "shop"):
        (folder / name).mkdir()
    for day in range(1, 9):
        web(folder, day)
        shop(folder, day)
        assert journeyflow.run(folder).alerts == ()


def spots(folder, kind):
    with journeyflow.open(folder / "published") as published:
        found = published.table("blind_spots").filter(pl.col("kind") == kind, pl.col("severity") == "critical")
        return found["subject"].to_list()


def counts(folder):
    with journeyflow.open(folder / "published") as published:
        return published.table("runs").sort("run_id")["alarm_count"].to_list()


@pytest.mark.parametrize(
    ("odd", "subject", "word"),
    [
        ({"bots": 40}, "bots: web", "are of programs, in source web"),
        ({"late": 40}, "late: web", "more than a day after they happened, in source web"),
        ({"unknown": 40}, "unclassified: four_stage", "in no stage of model four_stage"),
    ],
)
def test_a_share_that_jumps_is_an_alert(folder, odd, subject, word):
    web(folder, 9, **odd)
    report = journeyflow.run(folder)
    assert len(report.alerts) == 1
    assert word in report.alerts[0]
    assert spots(folder, "jumped_share") == [subject]
    assert counts(folder) == [0] * 8 + [1]
    if "bots" in odd:
        assert verify(load_config(folder)).run_id == report.run_id  # An alert is about a run, not about the figures.


def test_input_that_gave_no_row_is_an_alert_in_the_exit_code(folder):
    shop(folder, 9, "ignored")
    web(folder, 9)
    left = CliRunner().invoke(app, ["run", "-c", str(folder / "journeyflow.yml"), "--fail-on-alert"])
    assert left.exit_code == ExitCode.ALERT
    assert "none of them became an event" in left.output.replace("\n", " ")
    assert spots(folder, "empty_input") == ["shop"]
    assert counts(folder)[-1] == 1


def test_a_source_that_falls_silent_is_an_alert_as_long_as_it_is_silent(folder):
    web(folder, 11)
    assert "Source shop has been silent for 3 days" in journeyflow.run(folder).alerts[0]
    web(folder, 12)
    assert "Source shop has been silent for 4 days" in journeyflow.run(folder).alerts[0]
    shop(folder, 12)
    assert journeyflow.run(folder).alerts == ()
    assert counts(folder) == [0] * 8 + [1, 1, 0]


def test_what_a_killed_run_loaded_counts_for_the_next_one(folder):
    from journeyflow.pipeline.run import Run

    web(folder, 9, bots=40)
    with Run(load_config(folder)) as run:
        run.load()
    assert "are of programs" in journeyflow.run(folder).alerts[0]


def test_a_rebuild_remembers_earlier_alerts_and_shares(folder):
    web(folder, 9, bots=40)
    journeyflow.run(folder)

    def remembered():
        with DuckDBEngine(folder / "state" / "warehouse.duckdb", read_only=True) as warehouse:
            tables = ("alerts", "shares")
            query = "select * from ledger.{} where run_id <= ? order by all"
            return [warehouse.rows(query.format(table), [last]).to_pylist() for table in tables]

    with journeyflow.open(folder / "published") as published:
        last = published.manifest.run_id
    before = remembered()
    assert [row["kind"] for row in before[0]] == ["jumped_share"]
    rebuild(load_config(folder))
    assert remembered() == before
