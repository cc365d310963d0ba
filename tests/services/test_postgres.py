"""Tables of PostgreSQL as a source: new rows by their watermark, archived as files, and nothing secret in messages."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import adbc_driver_postgresql.dbapi as adbc
import pytest

from journeyflow.config import load_config
from journeyflow.ingest import postgres as reading
from journeyflow.ingest.files import RawStore, read_snapshot
from journeyflow.ingest.load import load_events, reload_events
from journeyflow.setup.trial import loaded_trial
from journeyflow.state.warehouse import open_warehouse

NOW_US = 1_900_000_000_000_000


@pytest.fixture
def database(postgres, monkeypatch):
    """A table of events, and the environment of a run that reads it; call it with statements."""
    address = urlsplit(postgres)
    for name, value in {
        "PGHOST": parse_qs(address.query)["host"][0],
        "PGDATABASE": address.path.strip("/"),
        "PGUSER": address.username,
        "PGPASSWORD": address.password,
    }.items():
        monkeypatch.setenv(name, value)

    def execute(*statements: str) -> None:
        with closing(adbc.connect(postgres)) as connection, closing(connection.cursor()) as cursor:
            for statement in statements:
                cursor.execute(statement)
            connection.commit()

    execute(
        "create schema shop",
        'create table shop."Events" (id bigint, at timestamptz, who uuid, "what it is" text, price numeric(10, 2), '
        "more jsonb)",
    )
    return execute


INSERT = 'insert into shop."Events" values '


def row(number: int, at: str = "2026-03-01 10:00:00+01") -> str:
    return f"({number}, '{at}', '00000000-0000-4000-8000-00000000000{number % 3}', 'view', 1.50, '{{\"a\": 1}}')"


def source(watermark: str = "id", **more) -> dict:
    columns = {
        "event_id": "id",
        "occurred_at": "at",
        "user_id": "who",
        "event_name": "what it is",
        "revenue_amount": "price",
    }
    path = "postgres://shop/Events"
    return {
        "format": "parquet",
        "path": path,
        "watermark": watermark,
        "columns": columns,
        "properties": ["more"],
    } | more


@pytest.fixture
def project(tmp_path):
    with open_warehouse(threads=1) as warehouse:

        def load(run_id: str, **more):
            config = load_config({"sources": {"crm": source(**more)}}, folder=tmp_path)
            return load_events(config, warehouse, run_id=run_id, now_us=NOW_US)

        load.warehouse, load.folder = warehouse, tmp_path
        yield load


def test_a_run_reads_what_is_above_the_last_watermark(database, project):
    database(INSERT + ", ".join(map(row, range(1, 13))))
    (file,) = project("1").files
    assert (file.source_file, file.counts.accepted) == ("postgres://shop/Events#1-1", 12)
    found = project.warehouse.rows(
        "select distinct occurred_at, event_name, revenue_amount, properties ->> '$.more' as more from raw.events"
    ).to_pylist()
    assert [{key: str(value) for key, value in each.items()} for each in found] == [
        {"occurred_at": "2026-03-01 09:00:00", "event_name": "view", "revenue_amount": "1.5000", "more": '{"a": 1}'}
    ]
    assert project("2").files == ()
    database(INSERT + row(13))
    assert [file.counts.accepted for file in project("3").files] == [1]
    # A row that comes late has a new id and an old time: by another watermark the table is read from its beginning.
    assert [file.counts.accepted for file in project("4", watermark="at").files] == [0]
    assert project.warehouse.count("raw.events") == 13
    database('drop table shop."Events"')
    (refused,) = project("5").refused
    assert refused.detail.startswith("there is no such table")
    config = load_config({"sources": {"crm": source()}}, folder=project.folder)
    snapshot = read_snapshot(project.warehouse, RawStore(config.state))
    with open_warehouse(threads=1) as fresh:
        reload_events(config, fresh, snapshot, RawStore(config.state), run_id="again", now_us=NOW_US)
        assert fresh.count("raw.events") == 13


def test_rows_of_one_time_are_read_across_files_and_a_killed_run(database, project, monkeypatch):
    monkeypatch.setattr(reading, "BATCH_ROWS", 0)
    database(INSERT + ", ".join(row(n, f"2026-03-01 10:00:0{n // 4}+00") for n in range(1, 9)))
    written = project.warehouse.count
    project("1", watermark="at")
    assert written("raw.events") == 8
    project.warehouse.execute("update ledger.remote_files set etag = '2026-03-01 10:00:00+00'")
    report = project("2", watermark="at")
    assert report.counts.duplicate == 5
    assert written("raw.events") == 8


def test_young_rows_wait_for_transactions_that_may_come_before_them(database, project, monkeypatch):
    database(INSERT + row(1), "update shop.\"Events\" set at = now() - interval '10 s'")
    project("1", watermark="at")
    assert project.warehouse.count("raw.events") == 0
    monkeypatch.setattr(reading, "SETTLED", timedelta(seconds=1))
    project("2", watermark="at")
    assert project.warehouse.count("raw.events") == 1


def test_what_the_database_refuses_is_said_without_a_secret(database, project, monkeypatch):
    (refused,) = project("1", watermark="nothing").refused
    assert "it has id, at, who, what it is, price, more" in refused.detail
    monkeypatch.setenv("PGPASSWORD", "wrong")
    (refused,) = project("2").refused
    assert refused.detail == "the database denies access; see PGUSER, PGPASSWORD and the grants of the user"
    monkeypatch.setenv("PGHOST", "/nowhere")
    (refused,) = project("3").refused
    assert refused.detail.startswith("the database cannot be read (")
    assert "nowhere" not in refused.detail


def test_a_read_changes_nothing_and_a_trial_reads_some_rows(database, project):
    database(INSERT + ", ".join(map(row, range(1, 6))))
    evil = 'x" text); drop table shop."Events"; --'
    database(f'alter table shop."Events" add column "{evil.replace(chr(34), chr(34) * 2)}" text')
    config = load_config({"sources": {"crm": source()}}, folder=project.folder)
    with loaded_trial(config, 1_000) as (_, loaded, _):
        assert loaded.event_count == 5
    (file,) = project("1").files
    assert file.counts.accepted == 5
