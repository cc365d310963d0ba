"""The DuckDB engine: relations by name, streams, locking, limits, and errors without values."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest

from journeyflow.engines import DuckDBEngine, default_memory_limit, duckdb
from journeyflow.engines.base import relation, text, word
from journeyflow.errors import EngineError


@pytest.fixture
def engine():
    with DuckDBEngine() as opened:
        yield opened


def test_register_replaces_and_append_adds_by_name(engine):
    engine.register("a.t", pa.table({"x": [1], "y": ["p"]}))
    engine.register("a.t", pa.table({"x": [2], "y": ["q"]}))
    engine.append("a.t", pa.table({"y": ["r"], "x": [3]}))
    assert engine.rows("select * from a.t order by x").to_pylist() == [{"x": 2, "y": "q"}, {"x": 3, "y": "r"}]


def test_a_table_may_become_a_view_and_back(engine):
    for kind in ("table", "view", "table"):
        engine.run("a.t", "select 1 as x", kind=kind)
    assert engine.columns("a.t") == {"x": "INTEGER"}
    engine.drop("a.t")
    assert engine.columns("a.t") == {}


def test_a_stream_is_in_order_and_lets_other_calls_be_made(engine):
    engine.run("a.t", "select i from range(50000) as t (i)")
    seen = []
    for batch in engine.stream("select i from a.t order by i desc", 5000):
        engine.append("a.seen", pa.table({"n": [batch.num_rows]}))
        seen += batch.column(0).to_pylist()
    assert seen == list(range(49999, -1, -1))
    assert engine.rows("select sum(n) as n from a.seen").to_pylist() == [{"n": 50000}]


def test_times_are_naive_utc_whatever_the_machine(engine):
    found = engine.rows("select cast(timestamptz '2026-01-01 00:00:00+02:00' as timestamp) as at").to_pylist()
    assert found[0]["at"].isoformat() == "2025-12-31T22:00:00"


def test_an_error_names_the_model_and_holds_no_value(engine):
    engine.register("a.t", pa.table({"x": ["a-person@example.org"]}))
    with pytest.raises(EngineError, match=r"^The model a\.u failed: Conversion Error") as failed:
        engine.run("a.u", "select cast(x as integer) as x from a.t")
    assert "person" not in str(failed.value)


def test_an_error_of_the_statement_keeps_its_names(engine):
    with pytest.raises(EngineError, match="nothere"):
        engine.run("a.u", "select nothere from (select 1 as x)")


def test_the_memory_limit_comes_from_the_environment(monkeypatch):
    monkeypatch.delenv("JOURNEYFLOW_MEMORY_LIMIT", raising=False)
    assert default_memory_limit() == "1GB"
    monkeypatch.setenv("JOURNEYFLOW_MEMORY_LIMIT", "300MB")
    with DuckDBEngine() as engine:
        assert engine.rows("select current_setting('memory_limit') as m").to_pylist() == [{"m": "286.1 MiB"}]


def test_a_sealed_database_writes_no_file(tmp_path):
    path = tmp_path / "a.duckdb"
    DuckDBEngine(path).close()
    with DuckDBEngine(path, read_only=True, is_sealed=True) as sealed:
        for statement in (
            f"copy (select 1) to '{tmp_path}/x.csv'",
            "install httpfs",
            "set enable_external_access = true",
        ):
            with pytest.raises(EngineError):
                sealed.execute(statement)
    assert [file.name for file in tmp_path.iterdir()] == ["a.duckdb"]


@pytest.fixture
def locked(tmp_path):
    """An engine with an allowed folder and an attached file, beside files that it may not read."""
    for name in ("own", "others"):
        (tmp_path / name).mkdir()
    (tmp_path / "others" / "secret.csv").write_text("a\n1\n")
    (tmp_path / "own" / "link.csv").symlink_to(tmp_path / "others" / "secret.csv")
    (tmp_path / "own" / "good.csv").write_text("a\n2\n")
    DuckDBEngine(tmp_path / "other.duckdb").close()
    files = {"attached": {"other": tmp_path / "other.duckdb"}, "folders": [tmp_path / "own"]}
    with DuckDBEngine(tmp_path / "a.duckdb", temp_folder=tmp_path / "spill", memory_limit="60MB", **files) as opened:
        yield opened


@pytest.mark.parametrize(
    "statement",
    [
        "select * from read_csv('{0}/others/secret.csv')",
        "select * from read_csv('{0}/own/../others/secret.csv')",
        "select * from read_csv('{0}/own/link.csv')",
        "select * from '{0}/others/secret.csv'",
        "select * from glob('{0}/others/*')",
        "copy (select 1) to '{0}/others/written.csv'",
        "attach '{0}/others/made.duckdb' as made",
        "attach '{0}/own/../made.duckdb' as made",
        "export database '{0}/others/all'",
        "install httpfs",
        "load httpfs",
        "select * from read_csv('https://127.0.0.1/a.csv')",
        "set enable_external_access = true",
        "set lock_configuration = false",
        "set allowed_directories = ['/']",
        "select * from python_table",
    ],
)
def test_a_locked_engine_reaches_only_its_own_files(locked, tmp_path, statement):
    python_table = pa.table({"x": [1]})  # noqa: F841 - what a statement may not find
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(EngineError):
        locked.execute(statement.format(tmp_path))
    assert sorted(tmp_path.rglob("*")) == before


def test_a_locked_engine_can_use_its_own_files(locked, tmp_path):
    assert locked.rows(f"select a from read_csv('{tmp_path}/own/good.csv')").to_pylist() == [{"a": 2}]
    locked.attach(tmp_path / "own" / "made.duckdb", "made", storage_version="v1.0.0")
    locked.execute("create table made.main.t as select 1 as x")
    locked.detach("made")
    locked.execute(f"copy (select 1 as x) to '{tmp_path}/own/x.parquet'")
    locked.execute("create table wide as select md5(i::varchar) as x from range(2000000) as t (i)")
    assert locked.rows("select count(*) as n from (select x from wide order by x, x || 'a')")["n"][0].as_py() == 2000000


def test_a_file_can_be_opened_twice_with_the_same_access_only(tmp_path):
    """As in a notebook that opens the published tables again."""
    path = tmp_path / "a.duckdb"
    DuckDBEngine(path).close()
    read = {"read_only": True, "is_sealed": True}
    with DuckDBEngine(path, **read) as first, DuckDBEngine(path, **read) as second:
        assert first.rows("select 1 as n") == second.rows("select 1 as n")
        with pytest.raises(EngineError):
            second.execute("set enable_external_access = true")
        with pytest.raises(EngineError, match="open in this process with access to other folders"):
            DuckDBEngine(path, folders=[tmp_path], **read)


def test_an_engine_that_cannot_be_locked_is_not_used(monkeypatch):
    for broken in (
        duckdb._ORDERED[:1],
        duckdb._ORDERED[:2],
        ("set allowed_directories = ['/']", *duckdb._ORDERED[1:]),
    ):
        monkeypatch.setattr(duckdb, "_ORDERED", broken)
        with pytest.raises(EngineError, match="could not be locked"):
            DuckDBEngine()


def test_a_file_that_is_no_database_is_an_error(tmp_path):
    path = tmp_path / "a.duckdb"
    path.write_text("x" * 5000)
    with pytest.raises(EngineError, match="Cannot open the database"):
        DuckDBEngine(path)


def test_names_and_texts_are_quoted():
    assert relation("marts.funnel_steps") == '"marts"."funnel_steps"'
    assert text("it's") == "'it''s'"
    for bad in ("a b", 'a"b', "a;drop", "", "1a"):
        with pytest.raises(EngineError, match="cannot name"):
            word(bad)


@pytest.mark.parametrize(
    "value", ["it's SECRET of 'x", 'a "SECRET', "line\nSECRET's", "'SECRET", "SECRET\nLINE 1: SECRET'"]
)
def test_no_part_of_a_value_is_in_an_error(engine, value):
    engine.register("a.t", pa.table({"x": [value]}))
    for kind in ("integer", "timestamp", "decimal(4, 2)", "uuid"):
        with pytest.raises(EngineError) as failed:
            engine.run("a.u", f"select cast(x as {kind}) as x from a.t")
        assert "SECRET" not in str(failed.value)


@pytest.mark.parametrize(
    "select",
    [
        "select regexp_matches('a', x || '(') as y from a.t",
        "select error(x) as y from a.t",
        "select cast(123456 + length(x) as tinyint) as y from a.t",
        "select cast(9223372036854123456 + length(x) as bigint) * 2 as y from a.t",
    ],
)
def test_a_value_that_a_message_does_not_quote_is_in_no_error(engine, select):
    engine.register("a.t", pa.table({"x": ["SECRET"]}))
    with pytest.raises(EngineError) as failed:
        engine.run("a.u", select)
    assert not re.search(r"SECRET|1234|9223372036854123", str(failed.value)), str(failed.value)


def test_an_unknown_table_is_answered_with_the_nearest(engine):
    engine.register("main.funnel_steps", pa.table({"x": [1]}))
    with pytest.raises(EngineError, match='Did you mean "funnel_steps"'):
        engine.rows("select * from funnel_step")


def test_a_sealed_database_spills_away_from_its_file(tmp_path):
    path = tmp_path / "a.duckdb"
    DuckDBEngine(path).close()
    with DuckDBEngine(path, read_only=True, is_sealed=True) as sealed:
        folder = sealed.rows("select current_setting('temp_directory') as folder")["folder"][0].as_py()
    assert str(tmp_path) not in folder


@pytest.mark.parametrize("ask", ["rows", "values", "records"])
@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("", "statement is empty"),
        (" -- nothing;", "statement is empty"),
        ("select nothere from (select 1 as x)", "^A query failed: .*nothere"),
    ],
)
def test_every_way_to_ask_fails_alike(engine, ask, query, message):
    with pytest.raises(EngineError, match=message):
        getattr(engine, ask)(query)


@pytest.mark.parametrize("ask", ["rows", "records"])
def test_columns_of_one_name_are_named(engine, ask):
    with pytest.raises(EngineError, match=r"more than one is named a\.$"):
        getattr(engine, ask)("select 1 as a, 2 as a, 3 as other")


def test_ctrl_c_while_a_query_runs_is_ctrl_c():
    def interrupted():
        with duckdb._failing_as("A query"):
            raise RuntimeError("Query interrupted")

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with ThreadPoolExecutor(1) as threads, pytest.raises(EngineError, match="was stopped"):
        threads.submit(interrupted).result()
    with pytest.raises(RuntimeError, match="another"), duckdb._failing_as("A query"):
        raise RuntimeError("another")
