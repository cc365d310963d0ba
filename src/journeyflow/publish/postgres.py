"""A copy of the published tables in a PostgreSQL database, for BI tools that read no DuckDB file."""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from journeyflow.engines.base import relation, text, word
from journeyflow.errors import InputError, JourneyflowError
from journeyflow.publish.generation import table_comment
from journeyflow.utils.formatting import escaped

if TYPE_CHECKING:
    from journeyflow.config import Config
    from journeyflow.engines import DuckDBEngine
    from journeyflow.models import Column, Model

VARIABLE = "JOURNEYFLOW_POSTGRES"
"""Environment variable with the address of the database, credentials included; no file holds them."""
MARK = "journeyflow: published tables of"
"""Beginning of the comment by which a schema is known as ours; the name of the project follows."""
BATCH_ROWS = 50_000
_TYPES = {
    "VARCHAR": "text", "BIGINT": "bigint", "INTEGER": "integer", "DOUBLE": "double precision", "BOOLEAN": "boolean",
    "DATE": "date", "TIMESTAMP": "timestamp without time zone",
}  # fmt: skip
_DECIMAL = re.compile(r"DECIMAL\((\d+), ?(\d+)\)")
_QUOTED = re.compile(r"'.*'|\".*\"|['\"].*", re.DOTALL)
_COLUMNS = """
    select c.relname, a.attname, format_type(a.atttypid, a.atttypmod)
    from pg_class as c inner join pg_attribute as a on a.attrelid = c.oid
    where c.relnamespace = to_regnamespace({schema}) and c.relkind = 'r' and a.attnum > 0 and not a.attisdropped
    order by c.relname, a.attnum
"""

_REMOVED = """
    delete from {name}; begin drop table {name}; exception when dependent_objects_still_exist then null; end
"""
"""Remove a table; one that a view stands on is emptied, so that it shows no old rows."""


def require_postgres(config: Config) -> None:
    """Raise before a run begins where the configured database could not be written at its end."""
    if config.targets.postgres:
        _driver()
        _address()


def write_postgres(engine: DuckDBEngine, models: Iterable[Model], config: Config) -> None:
    """Replace the rows of the configured schema by those of the published tables, in one transaction.

    Readers see the old rows of all tables until the new ones are there, and are never blocked: rows are deleted and
    inserted, so that views, grants and indexes on the tables stay. A table is replaced only where a column was removed
    or has another type.

    Raises
    ------
    JourneyflowError
        When the database refuses; it then holds what it held before. No value of a row is in the message.
    """
    target = config.targets.postgres
    if target is None:
        return
    tables = tuple(models)
    with _failing(), _driver().connect(_address()) as connection, connection.cursor() as cursor:
        cursor.execute("set local lock_timeout = '60s'")
        cursor.execute(f"select pg_advisory_xact_lock(hashtext({_text(MARK + target.schema_name)}))").fetchall()
        _own_schema(cursor, target.schema_name, config.project)
        _make_tables(cursor, tables, target.schema_name)
        for model in tables:
            cursor.execute(f"delete from {word(target.schema_name)}.{word(model.table)}")
            rows = engine.reader(f"select {_selected(model)} from {relation(model.name)}", BATCH_ROWS)
            cursor.adbc_ingest(model.table, rows, mode="append", db_schema_name=target.schema_name)
        connection.commit()


def _own_schema(cursor: Any, schema: str, project: str) -> None:  # noqa: ANN401 - an optional library
    """Create the schema or take an empty one; refuse that of others or of another project: its tables would be lost."""
    mark = f"{MARK} {escaped(project)}"
    found = cursor.execute(
        "select obj_description(n.oid, 'pg_namespace'), (select count(*) from pg_class where relnamespace = n.oid) "
        f"from pg_namespace as n where n.nspname = {_text(schema)}"
    ).fetchall()
    is_new = not found or found[0] == (None, 0)
    if not is_new and found[0][0] != mark:
        raise InputError(
            f"The schema {schema} in PostgreSQL was not made for this project, and may hold other tables. Name a new "
            "one in `targets.postgres.schema`; nothing was changed. The tables are published as files."
        )
    if not found:
        cursor.execute(f"create schema {word(schema)}")
    if is_new:
        cursor.execute(f"comment on schema {word(schema)} is {_text(mark)}")


def _make_tables(cursor: Any, models: tuple[Model, ...], schema: str) -> None:  # noqa: ANN401
    found: dict[str, dict[str, str]] = {}
    for table, column, kind in cursor.execute(_COLUMNS.format(schema=_text(word(schema)))).fetchall():
        found.setdefault(table, {})[column] = kind
    statements: list[str] = []
    if "dictionary" in found:  # It names the tables of the run before; others in the schema are of users.
        before = cursor.execute(f"select distinct table_name from {word(schema)}.dictionary").fetchall()
        for (table,) in before:
            if table in found and table not in {model.table for model in models}:
                statements.append(_REMOVED.format(name=f"{word(schema)}.{word(table)}"))
    for model in models:
        name = f"{word(schema)}.{word(model.table)}"
        wanted = {column: _type(described) for column, described in model.columns.items()}
        present = found.get(model.table)
        if present is not None and not present.items() <= wanted.items():
            statements.append(f"drop table {name}")
            present = None
        if present is None:
            statements.append(
                f"create table {name} ({', '.join(f'{word(key)} {kind}' for key, kind in wanted.items())})"
            )
        for column in wanted.keys() - present.keys() if present is not None else ():
            statements.append(f"alter table {name} add column {word(column)} {wanted[column]}")
        statements.append(f"comment on table {name} is {_text(table_comment(model))}")
        for column, described in model.columns.items():
            unit = f" [{described.unit}]" if described.unit else ""
            statements.append(f"comment on column {name}.{word(column)} is {_text(described.meaning + unit)}")
    # One statement: hundreds of comments would take as many round trips.
    body = f"begin {'; '.join(statements)}; end"
    cursor.execute(f"do {_text(body)}")


def _type(column: Column) -> str:
    """Return PostgreSQL's type of a column; what it lacks is written as text."""
    if decimal := _DECIMAL.fullmatch(column.type):
        return f"numeric({decimal[1]},{decimal[2]})"
    return _TYPES.get(column.type, "text")


def _selected(model: Model) -> str:
    """Return the columns in types that the driver knows; PostgreSQL's texts hold no zero character."""
    parts = []
    for name, column in model.columns.items():
        if _type(column) == "text":
            parts.append(f"replace(cast({word(name)} as varchar), chr(0), {text(chr(0x2400))}) as {word(name)}")
        else:
            parts.append(word(name))
    return ", ".join(parts)


def _text(value: str) -> str:
    """Return a text constant, whatever `standard_conforming_strings` says."""
    escaped_text = value.replace("\\", "\\\\").replace("'", "''").replace("\0", "\u2400")
    return f"E'{escaped_text}'"


def _driver() -> Any:  # noqa: ANN401 - an optional library
    try:
        return importlib.import_module("adbc_driver_postgresql.dbapi")
    except ImportError as error:
        raise JourneyflowError("The target `postgres` needs an extra: pip install 'journeyflow[postgres]'.") from error


def _address() -> str:
    address = os.environ.get(VARIABLE, "")
    if not address.startswith(("postgresql://", "postgres://")):
        raise InputError(
            f"Set the environment variable {VARIABLE} to the address of the database, such as "
            "postgresql://user:password@host/database; `targets.postgres` is configured."
        )
    return address


@contextmanager
def _failing() -> Iterator[None]:
    """Turn an error of the driver into one without values, addresses and passwords, which it quotes."""
    failures = _driver().Error
    try:
        yield
    except failures as error:
        first = _QUOTED.sub("…", str(error)).split("\n", 1)[0][:200]
        state = f" (SQLSTATE {error.sqlstate})" if getattr(error, "sqlstate", None) else ""
        raise JourneyflowError(
            f"The tables could not be written to PostgreSQL{state}: {first} It holds what it held before; the tables "
            "are published as files."
        ) from None
