"""A warehouse of an older version is brought up to date, step by step, whatever kills the run that does it."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
from importlib import resources

import pytest

from journeyflow.engines import DuckDBEngine
from journeyflow.errors import EngineError, InputError
from journeyflow.state import warehouse as migrating
from journeyflow.state.warehouse import open_warehouse

FIRST = """
create schema landed;
create schema ledger;
create table ledger.schema_version (version integer not null);
create table landed.events (
    event_ix bigint not null, event_key uhugeint not null, event_id varchar not null, source varchar not null,
    occurred_at timestamp not null, received_at timestamp, device_key ubigint, user_key ubigint, anonymous_id varchar,
    user_id varchar, session_id varchar, sequence bigint, event_name varchar not null, channel varchar not null,
    utm_source varchar, utm_medium varchar, utm_campaign varchar, utm_term varchar, utm_content varchar,
    referrer_host varchar, page_path varchar, target varchar, user_agent varchar, revenue_amount decimal(18, 4),
    currency varchar, properties json, file_ix integer not null, source_row bigint not null
);
create table landed.traits (
    user_key ubigint not null, user_id varchar not null, trait varchar not null, trait_value varchar,
    valid_from timestamp
);
create table landed.quarantine (
    file_ix integer not null, source_file varchar not null, source_row bigint not null, reason varchar not null,
    detail varchar, raw varchar
);
create table ledger.files (
    file_ix integer not null, source varchar not null, source_file varchar not null, sha256 varchar not null,
    byte_count bigint not null, first_loaded_at timestamp not null, record_count bigint not null,
    settings_hash varchar not null, is_landed boolean not null
);
create table ledger.loads (
    run_id varchar not null, source varchar not null, source_file varchar not null, record_count bigint not null,
    accepted_count bigint not null, quarantined_count bigint not null, duplicate_count bigint not null,
    conflicting_count bigint not null, filtered_count bigint not null, erased_count bigint not null, sha256 varchar,
    status varchar not null, detail varchar
);
create table ledger.runs (
    run_id varchar not null, started_at timestamp, finished_at timestamp, status varchar, high_water_at timestamp,
    config_hash varchar, version varchar, event_count bigint, elapsed_seconds double
);
insert into ledger.schema_version values (1);
insert into landed.events (event_ix, event_key, event_id, source, occurred_at, event_name, channel, file_ix, source_row)
values (1, 11, 'e1', 'web', '2026-03-01', 'view', 'web', 1, 2);
insert into landed.quarantine values (1, 'a.csv', 3, 'no_time', null, 'x,y');
insert into ledger.files values (1, 'web', 'a.csv', 'ab', 9, '2026-03-02', 2, 'cd', true);
insert into ledger.loads values ('r1', 'web', 'a.csv', 2, 1, 1, 0, 0, 0, 0, 'ab', 'loaded', null);
insert into ledger.runs values ('r1', '2026-03-02', '2026-03-02', 'published', '2026-03-01', 'ef', '0.1.0', 1, 1.5);
"""
"""The first schema as version 0.1.0 wrote it, with a row or two; it never changes."""
MADE_UP = {
    101: "create table ledger.notes (note varchar); insert into ledger.notes values ('first')",
    102: "alter table ledger.notes add column length bigint; update ledger.notes set length = length(note)",
    103: "create table ledger.lengths as select length from ledger.notes; drop table ledger.notes",
}
"""Steps of a future version: a table, a column that is filled, a table in the place of another."""
FORKS = multiprocessing.get_context("fork")
LONG = "JOURNEYFLOW_FAULTS" in os.environ


@pytest.fixture
def old(tmp_path):
    path = tmp_path / "state" / "warehouse.duckdb"
    path.parent.mkdir()
    with DuckDBEngine(path, threads=1) as engine:
        engine.execute(FIRST)
    return path


def _tables(warehouse):
    """Return every column and every row that is there, by table."""
    columns = warehouse.rows(
        "select table_schema || '.' || table_name as name, column_name, data_type, is_nullable "
        "from information_schema.columns where table_schema in ('landed', 'raw', 'ledger') order by all"
    ).to_pylist()
    names = sorted({row["name"] for row in columns})
    return columns, {name: warehouse.rows(f"select * from {name} order by all").to_pylist() for name in names}


def test_a_warehouse_of_the_first_version_becomes_what_a_new_one_is_and_keeps_its_rows(old, tmp_path):
    with DuckDBEngine(old, read_only=True) as before:
        _, rows = _tables(before)
    with open_warehouse(old, threads=1) as upgraded, open_warehouse(tmp_path / "new.duckdb") as new:
        columns, kept = _tables(upgraded)
        assert columns == _tables(new)[0]
        assert migrating.schema_version(upgraded) == migrating.schema_version(new) == migrating.newest_version()
    for table in set(rows) - {"ledger.schema_version"}:
        now = kept[table.replace("landed.", "raw.")]
        shared = [
            {name: row["is_loaded" if name == "is_landed" else name] for name in old_row}
            for row, old_row in zip(now, rows[table], strict=True)
        ]
        assert shared == rows[table], table
    assert kept["ledger.reasons"] == [{"source": "web", "reason": "no_time", "reason_count": 1, "loaded_count": 2}]


def test_a_file_that_was_killed_before_it_had_a_number_is_of_the_first_schema(old):
    with DuckDBEngine(old) as engine:
        engine.execute("delete from ledger.schema_version")
    with open_warehouse(old) as warehouse:
        assert migrating.schema_version(warehouse) == migrating.newest_version()
        assert warehouse.count("raw.events") == 1


def _die_at(path, made_up, nth):
    """Upgrade, and be killed before the `nth` statement."""
    seen = [0]
    original = DuckDBEngine.execute

    def execute(self, *args, **kwargs):
        seen[0] += 1
        if seen[0] == nth:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(self, *args, **kwargs)

    DuckDBEngine.execute = execute
    migrating.migrations = lambda: made_up
    open_warehouse(path, threads=1).close()
    os._exit(0)


def _statement_count(path):
    """Upgrade, and count the statements by which `_die_at` counts."""
    seen, original = [0], DuckDBEngine.execute

    def execute(self, *args, **kwargs):
        seen[0] += 1
        return original(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DuckDBEngine, "execute", execute)
        open_warehouse(path, threads=1).close()
    return seen[0]


@pytest.mark.check
def test_an_upgrade_that_is_killed_anywhere_is_completed_by_the_next_run(old, monkeypatch):
    made_up = dict(migrating.migrations()) | MADE_UP
    monkeypatch.setattr(migrating, "migrations", lambda: made_up)
    image, count = old.read_bytes(), _statement_count(old)
    versions = set()
    # Steps that were released are killed at some statements, and at every one by `make faults`; made-up ones at all.
    for nth in range(1, count + 1) if LONG else sorted({*range(1, count, 6), *range(max(1, count - 12), count + 1)}):
        old.write_bytes(image)
        old.with_name(f"{old.name}.wal").unlink(missing_ok=True)
        process = FORKS.Process(target=_die_at, args=(old, made_up, nth))
        process.start()
        process.join(60)
        assert process.exitcode == -signal.SIGKILL
        with DuckDBEngine(old) as left:
            versions.add(migrating.schema_version(left))
        with open_warehouse(old, threads=1) as warehouse:
            assert migrating.schema_version(warehouse) == 103
            assert warehouse.rows("select * from ledger.lengths").to_pylist() == [{"length": 5}]
            assert not warehouse.columns("ledger.notes")
            assert warehouse.count("raw.events") == 1
    assert versions >= {1, 101, 102, 103}  # It was hit between all of the made-up steps.


def test_a_step_that_fails_leaves_the_schema_before_it(old, monkeypatch):
    broken = dict(migrating.migrations()) | {
        101: MADE_UP[101],
        102: "create table ledger.more (n bigint); select no_such()",
    }
    monkeypatch.setattr(migrating, "migrations", lambda: broken)
    with pytest.raises(EngineError, match="could not be brought to schema 102") as caught:
        open_warehouse(old)
    assert "as it was before" in caught.value.message
    with DuckDBEngine(old) as engine:
        assert migrating.schema_version(engine) == 101
        assert not engine.columns("ledger.more")


def test_a_newer_warehouse_is_refused_and_left_as_it_is(old):
    with DuckDBEngine(old) as engine:
        engine.execute("update ledger.schema_version set version = 99")
        before = _tables(engine)
    with pytest.raises(InputError, match=r"newer journeyflow .schema 99"):
        open_warehouse(old)
    with DuckDBEngine(old) as engine:
        assert _tables(engine) == before


def test_steps_are_numbered_without_a_gap_and_hold_nothing_that_a_transaction_cannot_take_back():
    folder = resources.files("journeyflow.state").joinpath("sql", "schema")
    assert len(migrating.migrations()) == sum(file.name.endswith(".sql") for file in folder.iterdir()), (
        "two have one number"
    )
    assert list(migrating.migrations()) == list(range(1, len(migrating.migrations()) + 1))
    lasting = re.compile(r"\b(begin|commit|rollback|checkpoint|vacuum|attach|detach|copy|export|import|pragma|set)\b")
    for number, statements in migrating.migrations().items():
        words = re.sub(r"--.*|\bset (not null|default)\b|(?<=\bupdate )\S+\s+set\b", "", statements.lower())
        assert not lasting.search(words), number
