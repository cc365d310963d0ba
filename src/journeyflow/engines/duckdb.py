"""The DuckDB engine: locked-down connections, Arrow in and out. Nothing else imports duckdb."""

from __future__ import annotations

import atexit
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from copy import copy
from functools import cache
from pathlib import Path
from threading import Event, Timer, current_thread, main_thread
from typing import TYPE_CHECKING, Any

import duckdb

from journeyflow.engines.base import relation, text, word
from journeyflow.errors import EngineError

if TYPE_CHECKING:
    import pyarrow as pa


STORAGE_VERSION = "v1.0.0"
"""Storage version of published files; every DuckDB client since 1.0 reads it."""

MEMORY_VARIABLE = "JOURNEYFLOW_MEMORY_LIMIT"
"""Environment variable with the memory limit, such as ``2GB``."""


def default_memory_limit() -> str:
    """Return the memory limit that the environment sets, else 1 GB."""
    return os.environ.get(MEMORY_VARIABLE) or "1GB"


@cache
def _spill_folder() -> Path:
    """Return a private folder that nobody can have made before, removed when the process ends.

    One of the process: a file can be opened twice with equal settings only.
    """
    folder = Path(tempfile.mkdtemp(prefix="journeyflow-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


class DuckDBEngine:
    """One DuckDB connection, locked (see `lock`) to its own file, `folders`, `attached` databases and its spill folder.

    Parameters
    ----------
    path : Path or None
        Database file, created when missing; None is in memory.
    memory_limit : str or None
        What DuckDB may use before it spills, e.g. ``"1GB"``; None is `default_memory_limit`.
    temp_folder : Path or None
        Where it spills; None is beside the database file.
    is_sealed : bool
        Spill into the system's temporary folder, because readers may not write beside published files.
    folders : sequence of Path
        Where statements may read and write files.
    attached : mapping of str to Path or None
        Databases to attach for reading, by name.
    is_lossless : bool
        Return Arrow with lossless type mapping.
    is_ordered : bool
        Preserve insertion order.
    """

    def __init__(
        self,
        path: Path | None = None,
        *,
        memory_limit: str | None = None,
        threads: int | None = None,
        temp_folder: Path | None = None,
        read_only: bool = False,
        is_sealed: bool = False,
        folders: Sequence[Path] = (),
        attached: Mapping[str, Path] | None = None,
        is_lossless: bool = False,
        is_ordered: bool = False,
    ) -> None:
        settings: dict[str, Any] = {
            "memory_limit": memory_limit or default_memory_limit(),
            "autoinstall_known_extensions": False,
            # Every read that needs an order says ORDER BY.
            "preserve_insertion_order": is_ordered,
            # Merging half-full row groups at each checkpoint would write large tables twice; empty ones go anyway.
            "max_vacuum_tasks": 0,
            "TimeZone": "UTC",
            "arrow_lossless_conversion": is_lossless,
        }
        if threads:
            settings["threads"] = threads
        if is_sealed and temp_folder is None:
            temp_folder = _spill_folder()
        if temp_folder:
            settings["temp_directory"] = str(temp_folder)
        self.path = path
        try:
            self.connection = duckdb.connect(str(path) if path else ":memory:", read_only=read_only, config=settings)
        except duckdb.Error as error:
            raise EngineError(f"Cannot open the database {path}: {_first_line(error)}") from error
        try:
            for name, other in (attached or {}).items():
                self.attach(other, name)
            lock(self.connection, folders)
        except BaseException:
            self.connection.close()
            raise
        self._schemas: set[str] = set()
        self._database: str | None = None
        self._stopping = Event()

    def attach(self, path: Path, name: str, *, storage_version: str | None = None) -> None:
        """Attach a database file as `name`: for writing when `storage_version` is given, else for reading."""
        option = f"storage_version {text(storage_version)}" if storage_version else "read_only"
        self.execute(f"attach {text(str(path))} as {word(name)} ({option})")

    def beside(self, database: str | None = None) -> DuckDBEngine:
        """Return a second connection to the same databases that resolves `layer.name` in `database`, else as this."""
        other = copy(self)
        other.connection = self.connection.cursor()
        if database:
            other._schemas = set()
            other._database = database
            other.execute(f"use {word(database)}")
        return other

    def stop(self) -> None:
        """Make what another thread builds over this connection, or over one beside it, end soon."""
        self._stopping.set()
        self.connection.interrupt()

    def require_running(self) -> None:
        """Raise EngineError after `stop`."""
        if self._stopping.is_set():
            raise EngineError("The build was stopped.")

    def detach(self, name: str) -> None:
        """Detach the database `name`; its file is then complete."""
        self.execute(f"detach {word(name)}")

    def copy_from(self, name: str) -> None:
        """Copy the attached database `name` into this empty one, and detach it."""
        here = self.rows("select current_database() as name")["name"][0].as_py()
        self.execute(f"copy from database {word(name)} to {word(here)}")
        self.detach(name)

    def blocks(self) -> tuple[int, int]:
        """Return how many blocks the file has, and how many of them are free."""
        found = self.rows("select total_blocks, free_blocks from pragma_database_size()").to_pylist()[0]
        return int(found["total_blocks"]), int(found["free_blocks"])

    def tables(self) -> list[str]:
        """Return the names of all tables as `layer.name`, sorted."""
        query = (
            "select table_schema || '.' || table_name as name from information_schema.tables "
            "where table_type = 'BASE TABLE' and table_catalog = current_database() order by name"
        )
        names: list[str] = self.rows(query)["name"].to_pylist()
        return names

    def register(self, name: str, table: pa.Table) -> None:
        """Create or replace the table `name` with the rows of `table`."""
        with self.shown("_incoming", table):
            self.run(name, "select * from _incoming")

    def append(self, name: str, table: pa.Table) -> None:
        """Insert the rows of `table` into the table `name` by column name; create it when it is missing."""
        self.make_schema(name)
        create = f"create table if not exists {relation(name)} as select * from _incoming limit 0"
        with self.shown("_incoming", table):
            self.execute(create, model=name)
            self.execute(f"insert into {relation(name)} by name select * from _incoming", model=name)

    def scratch(self, name: str, batches: pa.RecordBatchReader) -> None:
        """Create or replace the temporary table `name` from a stream of batches."""
        with self.shown("_incoming", batches):
            self.execute(f"create or replace temp table {word(name)} as select * from _incoming", model=name)

    @contextmanager
    def shown(self, name: str, rows: object) -> Iterator[None]:
        """Expose an Arrow stream as the temporary view `name` while the context lasts.

        Each scan calls `rows.__arrow_c_stream__` again: it must return the same rows each time, unless only one scan
        is made.
        """
        self.connection.register(name, rows)
        try:
            yield
        finally:
            # A failed transaction accepts no statement; its rollback removes the view.
            with suppress(duckdb.TransactionException):
                self.connection.unregister(name)

    def count(self, name: str, condition: str = "true") -> int:
        """Return how many rows of `name` satisfy an SQL condition."""
        return int(self.values(f"select count(*) from {relation(name)} where {condition}")[0][0])

    def run(self, name: str, select: str, *, kind: str = "table") -> None:
        """Create or replace the table (or `kind="view"`) `name` with the rows of `select`."""
        self.make_schema(name)
        with _failing_as(f"The model {name}"):
            try:
                self.connection.execute(f"create or replace {kind} {relation(name)} as {select}").fetchall()
            except duckdb.CatalogException:
                self.drop(name)  # It may be of the other kind.
                self.execute(f"create {kind} {relation(name)} as {select}", model=name)

    def rows(self, select: str, params: Sequence[Any] | None = None) -> pa.Table:
        """Return all rows of `select`; EngineError where two columns have one name."""
        with _failing_as("A query"):
            result = self.connection.sql(select, params=list(params) if params else None)
            if result is None:
                is_empty = not self.connection.extract_statements(select)
                raise EngineError(
                    _EMPTY if is_empty else "This statement returns no rows; only queries are allowed here."
                )
            _require_distinct(result.columns)
            return result.to_arrow_table()

    def require_query(self, select: str) -> None:
        """Raise EngineError unless the text is one statement that only reads."""
        (statement,) = self.require_one(select)
        if statement.type not in _QUERIES:
            raise EngineError("Only one query at a time is allowed here, and it must return rows.")

    def require_one(self, text: str) -> list[duckdb.Statement]:
        """Return the one statement of a text; EngineError where there are none or several."""
        with _failing_as("A query"):
            statements = self.connection.extract_statements(text)
        if not statements:
            raise EngineError(_EMPTY)
        if len(statements) > 1:
            raise EngineError(f"Only one query at a time is allowed here; there are {len(statements)}.")
        return statements

    def values(self, select: str, params: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
        """Return the rows of `select`, which are few, as tuples: `rows` has a statement bound twice."""
        with _failing_as("A query"):
            result: duckdb.DuckDBPyConnection | None = self.connection.execute(select, list(params) if params else None)
            if result is None:
                raise EngineError(_EMPTY)
            found: list[tuple[Any, ...]] = result.fetchall()
        return found

    def records(self, select: str, params: Sequence[Any] | None = None) -> list[dict[str, Any]]:
        """Return the rows of `select`, which are few, as dicts by column name."""
        rows = self.values(select, params)
        return [dict(zip(self.fields(), row, strict=True)) for row in rows]

    def fields(self) -> dict[str, str]:
        """Return column name → type of what `values` returned last; EngineError where two have one name."""
        described = [(str(name), str(kind)) for name, kind, *_ in self.connection.description or ()]
        _require_distinct([name for name, _ in described])
        return dict(described)

    def stream(self, select: str, batch_rows: int) -> Iterator[pa.RecordBatch]:
        """Yield the rows of `select` in its order, from a second cursor so that other calls may be interleaved."""
        cursor = self.connection.cursor()
        if self._database:
            cursor.execute(f"use {word(self._database)}")
        try:
            with _failing_as("A streamed query"):
                yield from cursor.sql(select).to_arrow_reader(batch_rows)
        finally:
            cursor.close()

    def reader(self, select: str, batch_rows: int) -> pa.RecordBatchReader:
        """Return the rows of `select` as a stream with its schema; exhaust it before the next call."""
        with _failing_as("A streamed query"):
            return self.connection.sql(select).to_arrow_reader(batch_rows)

    def execute(self, statement: str, params: Sequence[Any] | None = None, *, model: str | None = None) -> None:
        """Run a statement that returns no rows; `model` is named in its error."""
        with _failing_as(f"The model {model}" if model else "A statement"):
            self.connection.execute(statement, list(params) if params else None).fetchall()

    def columns(self, name: str) -> dict[str, str]:
        """Return column name → type in order; empty when the relation does not exist."""
        try:
            described = self.connection.execute(f"describe select * from {relation(name)}").fetchall()
        except duckdb.CatalogException:
            return {}
        return {row[0]: row[1] for row in described}

    def relations(self) -> dict[str, dict[str, str]]:
        """Return column name → type, in order, of every table by its name."""
        query = """
            select schema_name || '.' || table_name, column_name, data_type
            from duckdb_columns()
            where database_name = current_database() and not internal
            order by schema_name, table_name, column_index
        """
        found: dict[str, dict[str, str]] = {}
        for name, column, kind in self.values(query):
            found.setdefault(name, {})[column] = kind
        return found

    def drop(self, name: str) -> None:
        """Drop the table or view `name` if it exists."""
        for kind in ("view", "table"):
            try:
                self.connection.execute(f"drop {kind} if exists {relation(name)}")
            except duckdb.CatalogException:
                continue

    @contextmanager
    def limited(self, seconds: float) -> Iterator[None]:
        """Stop the statement that still runs `seconds` after the context began; it fails with an EngineError."""
        timer = Timer(seconds, self.connection.interrupt)
        timer.daemon = True
        timer.start()
        try:
            yield
        except EngineError as error:
            if isinstance(error.__cause__, duckdb.InterruptException):
                raise EngineError(
                    f"The query was stopped after {seconds:g} seconds. Ask for less: filter or aggregate."
                ) from error
            raise
        finally:
            timer.cancel()

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def __enter__(self) -> DuckDBEngine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def make_schema(self, name: str) -> None:
        """Create the schema of the relation `name` where it is missing."""
        schema = name.rsplit(".", 1)[0]
        if schema not in self._schemas:
            self.connection.execute(f"create schema if not exists {relation(schema)}")
            self._schemas.add(schema)


_ORDERED = (
    "set allowed_directories = [{folders}]",
    "set enable_external_access = false",
    "set lock_configuration = true",
)
"""In this order: folders can be set only while access is open, and nothing once the configuration is locked."""
_STATE = """
    select current_setting('enable_external_access') as is_open, current_setting('lock_configuration') as is_locked,
        current_setting('allowed_directories') as folders, current_setting('temp_directory') as temp_folder
"""


def lock(connection: duckdb.DuckDBPyConnection, folders: Iterable[Path]) -> None:
    """Restrict a connection permanently to its own databases, its temporary folder and `folders`.

    No statement can then reach other files (also by ``..`` or links), the network, extensions or Python variables.
    Raises EngineError when the lock does not hold, so that no untrusted input is read.
    """
    chosen = [str(folder.absolute()) for folder in folders]
    _, is_locked, reached, temp_folder = connection.execute(_STATE).fetchall()[0]
    if not is_locked:
        for statement in _ORDERED:
            connection.execute(statement.format(folders=", ".join(map(text, chosen))))
    # A file that this process holds open already is the same database, whose settings cannot be changed any more.
    elif {folder.rstrip("/") for folder in reached} - {temp_folder.rstrip("/")} != {*chosen}:
        raise EngineError("The database is open in this process with access to other folders. Close it first.")
    _verify_lock(connection)


def _verify_lock(connection: duckdb.DuckDBPyConnection) -> None:
    """Raise EngineError unless a connection is locked, by its settings and by statements that must fail."""
    found = connection.execute(_STATE).fetchall()[0]
    is_set = found[:2] == (False, True) and not any(Path(folder) in Path(__file__).parents for folder in found[2])
    # Settings are no proof: this source file exists, and no connection may read it.
    attempts = (f"select count(*) from read_blob({text(__file__)})", "set enable_external_access = true")
    if not is_set or any(_succeeds(connection, statement) for statement in attempts):
        raise EngineError(
            "The database could not be locked: it could read files outside the allowed folders. Nothing was read. "
            "Install the version of duckdb that this journeyflow requires."
        )


def _succeeds(connection: duckdb.DuckDBPyConnection, statement: str) -> bool:
    try:
        connection.execute(statement).fetchall()
    except (duckdb.PermissionException, duckdb.InvalidInputException):
        return False
    return True


_QUERIES = (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN)
_EMPTY = "The statement is empty. Write a query, such as: select * from funnel_steps"


@contextmanager
def _failing_as(what: str) -> Iterator[None]:
    """Turn an error of the database into one that says that `what` failed, without values of rows."""
    try:
        yield
    except duckdb.Error as error:
        raise EngineError(f"{what} failed: {_first_line(error)}") from error
    except RuntimeError as error:
        if str(error) != "Query interrupted":
            raise
        if current_thread() is main_thread():  # It is Ctrl-C.
            raise KeyboardInterrupt from error
        raise EngineError(f"{what} was stopped.") from error


def _require_distinct(names: Sequence[str]) -> None:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise EngineError(f"Give each column a distinct name; more than one is named {' or '.join(repeated)}.")


_STATEMENT_ERRORS = (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException, duckdb.IOException)
_TELLING = (duckdb.InvalidInputException, duckdb.OutOfRangeException)
"""Errors whose messages hold values of rows without quotes."""
_WITH_VALUE = re.compile(r"with value \S+")
_QUOTED = re.compile(r"'.*'|\".*\"|['\"].*", re.DOTALL)
"""From the first quote to the last, because a value may contain quotes and line breaks."""
_WORDINGS = (
    (r"^(?:Binder|Catalog|Parser) Error: ", ""),
    (r"^Referenced column \"(.*?)\" not found in FROM clause!.*", r"there is no column \1."),
    (r"^Table with name (\S+) does not exist!.*", r"there is no table \1."),
    (r"^Table with name \"?(.+?)\"? does not exist because schema .*", r"there is no table \1."),
    (r"^syntax error at or near ", "the SQL is not understood at "),
    (r"^syntax error at end of input", "the SQL ends too early"),
)
"""Messages of DuckDB and what is said instead."""
_HINT = re.compile(r"^(?:Did you mean|Candidate).*$|No space left on device", re.MULTILINE)


def _first_line(error: Exception) -> str:
    """Return the first line of an error without values of rows, which a failed cast quotes."""
    message, *_ = str(error).partition("\nLINE ")
    if "read-only mode" in message:
        return "the tables are read only. Only queries are allowed: select, from, describe, show."
    if "file system operations are disabled" in message:
        return "files cannot be read or written here, only tables can be read."
    if isinstance(error, _STATEMENT_ERRORS):
        line, hint = message.split("\n", 1)[0][:300], _HINT.search(message)
        if hint and "pg_catalog" in hint[0]:  # Its own tables are near to every name.
            hint = None
        for wording, plain in _WORDINGS:
            line = re.sub(wording, plain, line)
        return f"{line} {hint[0][:200].replace('Candidate bindings:', 'Near:')}" if hint else line
    if isinstance(error, _TELLING):
        return message.split(":", 1)[0][:100]
    return _WITH_VALUE.sub("with value …", _QUOTED.sub("…", message)).split("\n", 1)[0][:300]
