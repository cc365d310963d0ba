"""DuckDB engine: locked-down connections, lossless Arrow in and out. Nothing else imports duckdb."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from copy import copy
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from journeyflow.engines.base import relation, text, word
from journeyflow.errors import EngineError

_ORDERED = (
    "set allowed_directories = [{folders}]",
    "set enable_external_access = false",
    "set lock_configuration = true",
)
"""Folders can only be named while access is open, and nothing can be set once the configuration is locked."""
_STATE = """
    select current_setting('enable_external_access') as is_open, current_setting('lock_configuration') as is_locked,
        current_setting('allowed_directories') as folders
"""


def lock(connection: duckdb.DuckDBPyConnection, folders: Iterable[Path]) -> None:
    """Let a connection reach its own databases, its temporary folder and `folders`, and nothing else, for good.

    Files are opened by the database only where it allows them itself: other files, `..`, links that lead out, the
    network, extensions and Python variables are closed to any statement, whatever made it.

    Raises
    ------
    EngineError
        When the lock does not hold: nothing of a stranger is read then.
    """
    allowed = ", ".join(text(str(folder.absolute())) for folder in folders)
    for statement in _ORDERED:
        connection.execute(statement.format(folders=allowed))
    prove(connection)


def prove(connection: duckdb.DuckDBPyConnection) -> None:
    """See that a connection is locked: by what it says of itself, and by doing what must fail.

    Raises
    ------
    EngineError
        When it is not.
    """
    found = connection.execute(_STATE).fetchall()[0]
    is_said = found[:2] == (False, True) and not any(Path(folder) in Path(__file__).parents for folder in found[2])
    # What a connection says of itself is no proof: this file is there, and no connection has business with it.
    attempts = (f"select count(*) from read_blob({text(__file__)})", "set enable_external_access = true")
    if not is_said or any(_succeeds(connection, statement) for statement in attempts):
        raise EngineError(
            "The database could not be locked: it would read files that it was not given. Nothing was read. Install "
            "the version of duckdb that this journeyflow asks for."
        )


def _succeeds(connection: duckdb.DuckDBPyConnection, statement: str) -> bool:
    try:
        connection.execute(statement).fetchall()
    except (duckdb.PermissionException, duckdb.InvalidInputException):
        return False
    return True


STORAGE_VERSION = "v1.0.0"
"""Storage version of published files: readable by every DuckDB client since 1.0."""

_ABOUT_THE_STATEMENT = (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException, duckdb.IOException)
_QUOTED = re.compile(r"'.*'|\".*\"|['\"].*", re.DOTALL)
"""From the first quote to the last: a value may hold quotes and line breaks of its own."""
_HINT = re.compile(r"^(?:Did you mean|Candidate).*$|No space left on device", re.MULTILINE)

MEMORY_VARIABLE = "JOURNEYFLOW_MEMORY_LIMIT"
"""Environment variable for what DuckDB may use before it spills, e.g. ``2GB``."""


def default_memory_limit() -> str:
    """Return the memory limit of the environment, 1 GB without."""
    return os.environ.get(MEMORY_VARIABLE) or "1GB"


class DuckDBEngine:
    """One DuckDB connection with relations named `layer.name`, locked: see `locking.lock`.

    Parameters
    ----------
    path : Path or None
        Database file, created when missing; None is in memory.
    memory_limit : str or None
        What DuckDB may use before it spills, e.g. ``"1GB"``; None reads the environment.
    threads : int or None
        Threads of DuckDB; None lets it choose.
    temp_folder : Path or None
        Where it spills.
    read_only : bool
        Open the file for reading only.
    is_sealed : bool
        Spill away from the database file: for queries that a user types.
    folders : sequence of Path
        Where statements may read and write files. Everything else is closed to them but the database file, what is
        attached here, and the folder where it spills.
    attached : mapping of str to Path or None
        Database files to attach for reading, by name.
    is_lossless : bool
        Hand out Arrow whose types say all that the database's own types do.
    is_ordered : bool
        Keep the order of rows that are copied.
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
            # Order inside a table means nothing here; every ordered read says ORDER BY.
            "preserve_insertion_order": is_ordered,
            # Merging half-full groups of rows at each checkpoint writes large tables twice; emptied ones go anyhow.
            "max_vacuum_tasks": 0,
            "TimeZone": "UTC",
            "arrow_lossless_conversion": is_lossless,
        }
        if threads:
            settings["threads"] = threads
        if is_sealed and temp_folder is None:
            # Beside the file is the published folder, which readers may not write to.
            temp_folder = Path(tempfile.gettempdir()) / f"journeyflow-{os.getpid()}"
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

    def attach(self, path: Path, name: str, *, storage_version: str | None = None) -> None:
        """Attach a database file in one of the `folders` as `name`: for reading, or to be written."""
        option = f"storage_version {text(storage_version)}" if storage_version else "read_only"
        self.execute(f"attach {text(str(path))} as {word(name)} ({option})")

    def beside(self, database: str) -> DuckDBEngine:
        """Return a second connection to the same databases, for which `layer.name` is a relation of `database`."""
        other = copy(self)
        other.connection = self.connection.cursor()
        other._schemas = set()
        other._database = database
        other.execute(f"use {word(database)}")
        return other

    def detach(self, name: str) -> None:
        """Detach the database `name`, everything written to its file."""
        self.execute(f"detach {word(name)}")

    def copy_from(self, name: str) -> None:
        """Copy everything that the attached database `name` holds into this one, which is empty."""
        here = self.rows("select current_database() as name")["name"][0].as_py()
        self.execute(f"copy from database {word(name)} to {word(here)}")
        self.detach(name)

    def blocks(self) -> tuple[int, int]:
        """Return how many blocks the file has, and how many of them hold nothing."""
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
        self._make_schema(name)
        self.drop(name)
        self._with_arrow(table, f"create table {relation(name)} as select * from _incoming", name)

    def append(self, name: str, table: pa.Table) -> None:
        """Add the rows of `table` to the table `name`, created when it is not there."""
        self._make_schema(name)
        create = f"create table if not exists {relation(name)} as select * from _incoming limit 0"
        self._with_arrow(table, create, name)
        self._with_arrow(table, f"insert into {relation(name)} by name select * from _incoming", name)

    def scratch(self, name: str, batches: pa.RecordBatchReader) -> None:
        """Create or replace the temporary table `name` from a stream of batches; it ends with the connection."""
        with self._incoming(batches):
            self.execute(f"create or replace temp table {word(name)} as select * from _incoming", model=name)

    def count(self, name: str, condition: str = "true") -> int:
        """Return how many rows of `name` satisfy an SQL condition."""
        return int(self.rows(f"select count(*) as n from {relation(name)} where {condition}")["n"][0].as_py())

    def run(self, name: str, select: str, *, kind: str = "table") -> None:
        """Create or replace the table (or `kind="view"`) `name` as the rows of `select`.

        Raises
        ------
        EngineError
            When the database refuses it; names the model.
        """
        self._make_schema(name)
        self.drop(name)
        self.execute(f"create {kind} {relation(name)} as {select}", model=name)

    def rows(self, select: str, params: Sequence[Any] | None = None) -> pa.Table:
        """Return the rows of `select`, whole."""
        try:
            result = self.connection.sql(select, params=list(params) if params else None)
            if result is None:
                raise EngineError("Only a query that returns rows can be asked here, and the statement returns none.")
            return result.to_arrow_table()
        except duckdb.Error as error:
            raise EngineError(f"A query failed: {_first_line(error)}") from error

    def stream(self, select: str, batch_rows: int) -> Iterator[pa.RecordBatch]:
        """Yield the rows of `select` in its order; a second cursor, so that other calls may be made meanwhile."""
        cursor = self.connection.cursor()
        if self._database:
            cursor.execute(f"use {word(self._database)}")
        try:
            yield from cursor.sql(select).to_arrow_reader(batch_rows)
        except duckdb.Error as error:
            raise EngineError(f"A streamed query failed: {_first_line(error)}") from error
        finally:
            cursor.close()

    def reader(self, select: str, batch_rows: int) -> pa.RecordBatchReader:
        """Return the rows of `select` as a stream with its schema; it must be through before another call."""
        try:
            return self.connection.sql(select).to_arrow_reader(batch_rows)
        except duckdb.Error as error:
            raise EngineError(f"A streamed query failed: {_first_line(error)}") from error

    def execute(self, statement: str, params: Sequence[Any] | None = None, *, model: str | None = None) -> None:
        """Run a statement for its effect."""
        try:
            self.connection.execute(statement, list(params) if params else None).fetchall()
        except duckdb.Error as error:
            where = f"The model {model}" if model else "A statement"
            raise EngineError(f"{where} failed: {_first_line(error)}") from error

    def columns(self, name: str) -> dict[str, str]:
        """Return the columns of `name` in order, with their types; empty when there is no such relation."""
        try:
            described = self.connection.sql(f"describe select * from {relation(name)}").fetchall()
        except duckdb.CatalogException:
            return {}
        return {row[0]: row[1] for row in described}

    def drop(self, name: str) -> None:
        """Drop the table or view `name` if it is there."""
        for kind in ("view", "table"):
            try:
                self.connection.execute(f"drop {kind} if exists {relation(name)}")
            except duckdb.CatalogException:
                continue

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def __enter__(self) -> DuckDBEngine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _make_schema(self, name: str) -> None:
        schema = name.rsplit(".", 1)[0]
        if schema not in self._schemas:
            self.connection.execute(f"create schema if not exists {relation(schema)}")
            self._schemas.add(schema)

    def _with_arrow(self, table: pa.Table, statement: str, name: str) -> None:
        with self._incoming(table):
            self.execute(statement, model=name)

    def _incoming(self, rows: pa.Table | pa.RecordBatchReader) -> AbstractContextManager[None]:
        return self.shown("_incoming", rows)

    @contextmanager
    def shown(self, name: str, rows: object) -> Iterator[None]:
        """Show Arrow as the temporary view `name` while the context lasts; it is streamed anew for each scan.

        `rows` has `__arrow_c_stream__`: called again and again it must give the same, or once where one scan is made.
        """
        self.connection.register(name, rows)
        try:
            yield
        finally:
            # In a transaction that has failed nothing can be done any more; its rollback takes the name away.
            with suppress(duckdb.TransactionException):
                self.connection.unregister(name)


def _first_line(error: Exception) -> str:
    said, *_ = str(error).partition("\nLINE ")
    if isinstance(error, _ABOUT_THE_STATEMENT):
        line, hint = said.split("\n", 1)[0][:300], _HINT.search(said)
        return f"{line} {hint[0][:200]}" if hint else line
    return _QUOTED.sub("…", said).split("\n", 1)[0][:300]  # A failed cast quotes the value it met.
