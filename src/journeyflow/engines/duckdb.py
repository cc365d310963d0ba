"""DuckDB as an engine. The only importer of duckdb outside this folder is nobody."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from journeyflow.errors import EngineError

STORAGE_VERSION = "v1.0.0"
"""Storage version of published files: readable by every DuckDB client since 1.0."""


class DuckDBEngine:
    """One DuckDB connection with relations named `layer.name`.

    Parameters
    ----------
    path : Path or None
        Database file, created when missing; None is in memory.
    memory_limit : str
        What DuckDB may use before it spills, e.g. ``"1GB"``.
    threads : int or None
        Threads of DuckDB; None lets it choose.
    temp_folder : Path or None
        Where it spills.
    read_only : bool
        Open the file for reading only.
    """

    def __init__(
        self,
        path: Path | None = None,
        *,
        memory_limit: str = "1GB",
        threads: int | None = None,
        temp_folder: Path | None = None,
        read_only: bool = False,
    ) -> None:
        settings: dict[str, Any] = {"memory_limit": memory_limit, "autoinstall_known_extensions": False}
        if threads:
            settings["threads"] = threads
        if temp_folder:
            settings["temp_directory"] = str(temp_folder)
        self.path = path
        try:
            self.connection = duckdb.connect(str(path) if path else ":memory:", read_only=read_only, config=settings)
        except duckdb.Error as error:
            raise EngineError(f"Cannot open the database {path}: {_first_line(error)}") from error
        self._schemas: set[str] = set()

    def register(self, name: str, table: pa.Table) -> None:
        """Create or replace the table `name` with the rows of `table`."""
        self._make_schema(name)
        self.drop(name)
        self._with_arrow(table, f"create table {name} as select * from _incoming", name)

    def append(self, name: str, table: pa.Table) -> None:
        """Add the rows of `table` to the table `name`, created when it is not there."""
        self._make_schema(name)
        self._with_arrow(table, f"create table if not exists {name} as select * from _incoming limit 0", name)
        self._with_arrow(table, f"insert into {name} by name select * from _incoming", name)

    def run(self, name: str, select: str, *, kind: str = "table") -> None:
        """Create or replace the table (or `kind="view"`) `name` as the rows of `select`."""
        self._make_schema(name)
        self.drop(name)
        self.execute(f"create {kind} {name} as {select}", model=name)

    def rows(self, select: str, params: Sequence[Any] | None = None) -> pa.Table:
        """Return the rows of `select`, whole."""
        try:
            return self.connection.sql(select, params=list(params) if params else None).to_arrow_table()
        except duckdb.Error as error:
            raise EngineError(f"A query failed: {_first_line(error)}") from error

    def stream(self, select: str, batch_rows: int) -> Iterator[pa.RecordBatch]:
        """Yield the rows of `select` in its order; a second cursor, so that other calls may be made meanwhile."""
        cursor = self.connection.cursor()
        try:
            yield from cursor.sql(select).to_arrow_reader(batch_rows)
        except duckdb.Error as error:
            raise EngineError(f"A streamed query failed: {_first_line(error)}") from error
        finally:
            cursor.close()

    def execute(self, statement: str, params: Sequence[Any] | None = None, *, model: str | None = None) -> None:
        """Run a statement for its effect."""
        try:
            self.connection.execute(statement, list(params) if params else None).fetchall()
        except duckdb.Error as error:
            where = f"The model {model}" if model else "A statement"
            raise EngineError(f"{where} failed: {_first_line(error)}") from error

    def drop(self, name: str) -> None:
        """Drop the table or view `name` if it is there."""
        for kind in ("view", "table"):
            try:
                self.connection.execute(f"drop {kind} if exists {name}")
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
        schema = name.split(".")[0]
        if schema not in self._schemas:
            self.connection.execute(f"create schema if not exists {schema}")
            self._schemas.add(schema)

    def _with_arrow(self, table: pa.Table, statement: str, name: str) -> None:
        self.connection.register("_incoming", table)
        try:
            self.execute(statement, model=name)
        finally:
            self.connection.unregister("_incoming")


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0][:300]
