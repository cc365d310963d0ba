"""The published tables in PostgreSQL: complete, commented, swapped at once, beside what users made."""

from __future__ import annotations

import threading
from pathlib import Path

import adbc_driver_postgresql.dbapi as adbc
import pytest

from journeyflow.config.sources import Targets
from journeyflow.engines import DuckDBEngine
from journeyflow.errors import InputError, JourneyflowError
from journeyflow.models import Column, Model, ModelMetadata
from journeyflow.publish.targets import VARIABLE, require_postgres, withdraw_postgres, write_postgres
from support.small_project import make_config

COLUMNS = {
    "name": Column(type="VARCHAR", meaning="The owner's name: \\ $$ 'quoted'."),
    "item_count": Column(type="BIGINT", unit="items", meaning="How many."),
    "step_index": Column(type="INTEGER", meaning="Position."),
    "open_rate": Column(type="DOUBLE", meaning="Share."),
    "worth_amount": Column(type="DECIMAL(38,4)", unit="currency", meaning="Worth."),
    "is_small": Column(type="BOOLEAN", meaning="Few."),
    "entry_date": Column(type="DATE", meaning="Day."),
    "seen_at": Column(type="TIMESTAMP", unit="UTC", meaning="Instant."),
    "other": Column(type="UBIGINT", meaning="A type that PostgreSQL lacks."),
}
SELECT = """
    select 'n' || i as name, i as item_count, i::integer as step_index, i / 4 as open_rate,
        (i * 1.2345)::decimal(38, 4) as worth_amount, i % 2 = 0 as is_small,
        date '2026-03-01' + i::integer as entry_date,
        timestamp '2026-03-01 01:02:03.456789' as seen_at, 18446744073709551615::ubigint as other
    from range({n}) as t (i)
    union all select 'nul' || chr(0) || 'é<script>', null, null, null, null, null, null, null, null
"""


def model(name="things", first=None):
    found = (first or {}) | COLUMNS
    metadata = ModelMetadata(description="Things that people have.", grain=("name",), columns=found)
    return Model(f"marts.{name}", Path("things.sql"), "select 1", (), metadata, found)


@pytest.fixture
def config(tmp_path, postgres, monkeypatch):
    monkeypatch.setenv(VARIABLE, postgres)
    targets = Targets.model_validate({"postgres": {"schema": "marts"}})
    return make_config(tmp_path).model_copy(update={"targets": targets, "project": "shop 'a'"})


@pytest.fixture
def engine(tmp_path):
    with DuckDBEngine(threads=1) as built:
        built.run("marts.things", SELECT.format(n=1000))
        yield built


@pytest.fixture
def asked(postgres):
    with adbc.connect(postgres, autocommit=True) as connection, connection.cursor() as cursor:

        def ask(query):
            return cursor.execute(query).fetchall()

        yield ask


def test_rows_types_and_comments_arrive(engine, config, asked):
    require_postgres(config)
    write_postgres(engine, [model()], config)
    assert asked("select count(*), sum(item_count) from marts.things") == [(1001, "499500")]
    kinds = asked(
        "select attname, format_type(atttypid, atttypmod) from pg_attribute "
        "where attrelid = 'marts.things'::regclass and attnum > 0 order by attnum"
    )
    assert [kind for _, kind in kinds] == [
        "text", "bigint", "integer", "double precision", "numeric(38,4)", "boolean", "date",
        "timestamp without time zone", "text",
    ]  # fmt: skip
    row = asked("select name, open_rate, worth_amount::text, is_small, entry_date::text, seen_at::text, other "
                "from marts.things where item_count = 3")  # fmt: skip
    assert row == [("n3", 0.75, "3.7035", False, "2026-03-04", "2026-03-01 01:02:03.456789", "18446744073709551615")]
    assert asked("select name from marts.things where item_count is null") == [("nul␀é<script>",)]
    assert asked("select obj_description('marts.things'::regclass)") == [
        ("Things that people have. One row per name.",)
    ]
    described = asked(
        "select col_description(attrelid, attnum) from pg_attribute "
        "where attrelid = 'marts.things'::regclass and attnum in (1, 2) order by attnum"
    )
    assert described == [(COLUMNS["name"].meaning,), ("How many. [items]",)]


def test_views_grants_and_own_tables_of_users_are_kept(engine, config, asked, postgres):
    write_postgres(engine, [model()], config)
    with adbc.connect(postgres) as connection, connection.cursor() as cursor:
        cursor.execute("create view public.mine as select count(*) as n from marts.things")
        cursor.execute("create view marts.beside as select name from marts.things")
        cursor.execute("grant select on marts.things to public")
        connection.commit()
    engine.run("marts.things", SELECT.format(n=10))
    write_postgres(engine, [model()], config)
    assert asked("select n from public.mine") == [(11,)]
    assert asked("select count(*) from marts.beside") == [(11,)]
    assert asked("select relacl::text like '%=r/%' from pg_class where oid = 'marts.things'::regclass") == [(True,)]


def test_a_new_column_is_added_below_a_view_and_another_type_is_refused_there(engine, config, asked, postgres):
    write_postgres(engine, [model()], config)
    with adbc.connect(postgres) as connection, connection.cursor() as cursor:
        cursor.execute("create view public.mine as select count(*) as n from marts.things")
        connection.commit()
    engine.run("marts.things", f"select 7::bigint as new_count, * from ({SELECT.format(n=5)})")
    more = model(first={"new_count": Column(type="BIGINT", meaning="New.")})
    write_postgres(engine, [more], config)
    assert asked("select n, (select sum(new_count) from marts.things) from public.mine") == [(6, "42")]
    # The view stands on the old table: nothing is changed, and nothing dropped with it.
    other = model(first={"new_count": Column(type="DOUBLE", meaning="New.")})
    with pytest.raises(JourneyflowError, match="SQLSTATE 2BP01"):
        write_postgres(engine, [other], config)
    assert asked("select n from public.mine") == [(6,)]


def test_all_tables_change_at_once_under_readers_who_never_wait_or_fail(engine, config, postgres):
    tables = [model("things"), model("others")]
    engine.run("marts.others", SELECT.format(n=1000))
    write_postgres(engine, tables, config)
    seen, failed, stop = set(), [], threading.Event()

    def read():
        try:
            with adbc.connect(postgres, autocommit=True) as connection, connection.cursor() as cursor:
                while not stop.is_set():
                    (row,) = cursor.execute(
                        "select (select count(*) from marts.things), (select count(*) from marts.others)"
                    ).fetchall()
                    seen.add(row)
        except adbc.Error as error:
            failed.append(str(error))

    reader = threading.Thread(target=read)
    reader.start()
    for n in (2000, 3000, 4000):
        for table in ("marts.things", "marts.others"):
            engine.run(table, SELECT.format(n=n))
        write_postgres(engine, tables, config)
    stop.set()
    reader.join(timeout=60)
    assert failed == []
    assert seen <= {(n + 1, n + 1) for n in (1000, 2000, 3000, 4000)}
    assert len(seen) > 1


def test_a_failure_in_the_middle_leaves_everything_as_it_was(engine, config, asked):
    write_postgres(engine, [model()], config)
    engine.run("marts.things", SELECT.format(n=3))
    with pytest.raises(JourneyflowError):
        write_postgres(engine, [model(), model("missing")], config)
    assert asked("select count(*) from marts.things") == [(1001,)]
    assert asked("select to_regclass('marts.missing') is null") == [(True,)]


def test_a_table_that_is_no_longer_published_goes_and_one_below_a_view_is_emptied(engine, config, asked, postgres):
    for name in ("gone", "seen"):
        engine.run(f"marts.{name}", SELECT.format(n=5))
    engine.run("marts.dictionary", "select unnest(['things', 'gone', 'seen', 'dictionary']) as table_name")
    names = {"table_name": Column(type="VARCHAR", meaning="A published table.")}
    described = ModelMetadata(description="Every column.", columns=names)
    dictionary = Model("marts.dictionary", Path("dictionary.sql"), "select 1", (), described, names)
    write_postgres(engine, [model(), model("gone"), model("seen"), dictionary], config)
    with adbc.connect(postgres) as connection, connection.cursor() as cursor:
        cursor.execute("create view public.mine as select count(*) as n from marts.seen")
        cursor.execute("create table marts.users_own (precious text)")
        connection.commit()
    write_postgres(engine, [model(), dictionary], config)
    assert asked("select n from public.mine") == [(0,)]
    assert asked("select to_regclass('marts.gone') is null, to_regclass('marts.users_own') is null") == [(True, False)]


def test_a_schema_of_others_is_refused(engine, config, asked, postgres):
    with adbc.connect(postgres) as connection, connection.cursor() as cursor:
        cursor.execute("create schema marts")
        cursor.execute("create table marts.things (precious text)")
        connection.commit()
    with pytest.raises(InputError, match="was not made for this project"):
        write_postgres(engine, [model()], config)
    assert asked("select count(*) from marts.things") == [(0,)]


def test_an_empty_schema_is_taken(engine, config, asked, postgres):
    with adbc.connect(postgres) as connection, connection.cursor() as cursor:
        cursor.execute("create schema marts")
        connection.commit()
    write_postgres(engine, [model()], config)
    assert asked("select count(*) from marts.things") == [(1001,)]


def test_a_withdrawn_publication_leaves_no_row_and_what_others_put_there(engine, config, asked):
    write_postgres(engine, [model()], config)
    asked("create table marts.of_a_user as select 1 as a")
    asked("create table marts.dictionary as select 'things' as table_name")
    withdraw_postgres(config)
    assert asked("select count(*) from marts.things") == [(0,)]
    assert asked("select count(*) from marts.of_a_user") == [(1,)]


def test_another_project_is_refused(engine, config):
    write_postgres(engine, [model()], config)
    with pytest.raises(InputError, match="was not made for this project"):
        write_postgres(engine, [model()], config.model_copy(update={"project": "other"}))


def test_no_error_tells_the_password_or_a_value(engine, config, monkeypatch, postgres_server):
    for address in (
        postgres_server.uri("postgres", "s3cret"),
        "postgresql://u:s3cret@/db?host=/nowhere&wrong=s3cret",
        "postgresql://u:s3cret@:notaport/db",
    ):
        monkeypatch.setenv(VARIABLE, address)
        with pytest.raises(JourneyflowError, match="could not be written to PostgreSQL") as caught:
            write_postgres(engine, [model()], config)
        assert "s3cret" not in str(caught.value)
