"""Read access to published tables, and the manifest of a generation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from journeyflow.errors import EngineError, NotFoundError

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa


MANIFEST = "manifest.json"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class TableEntry(_Frozen):
    """A published table and its Parquet file."""

    row_count: int
    file: str
    sha256: str


class FileEntry(_Frozen):
    """A file published beside the tables."""

    byte_count: int
    sha256: str


class RunFacts(_Frozen):
    """What a manifest records of the run; times are UTC."""

    run_id: str
    project: str
    version: str
    config_hash: str
    started_at: datetime
    published_at: datetime
    high_water_at: datetime
    event_count: int


class Manifest(RunFacts):
    """Metadata of a generation; `files` are those beside its tables, such as ``map.html``."""

    tables: dict[str, TableEntry]
    files: dict[str, FileEntry] = {}


def read_manifest(generation: Path) -> Manifest:
    """Return the manifest of a generation's folder; NotFoundError when it is missing or invalid."""
    path = generation / MANIFEST
    try:
        return Manifest.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise NotFoundError(
            f"Nothing is published in {generation}: there is no {MANIFEST}. Run `journeyflow run` first."
        ) from error
    except ValidationError as error:
        raise NotFoundError(f"{path} is not a valid manifest. Publish again with `journeyflow run`.") from error


EMPTY_KINDS = ("idle_setting", "idle_rule", "no_persona", "nothing_matured")
"""Kinds of `blind_spots` on figures that are empty by the configuration or the time, in the order of reports."""


class PublishedTables:
    """A read-only handle on one generation; later runs do not affect it. Open one with `journeyflow.open`."""

    def __init__(self, folder: Path) -> None:
        from journeyflow.engines import DuckDBEngine

        current = folder / "current"
        # Resolved once, because the link may be swapped while this handle is open.
        self.folder = (current if current.exists() else folder).resolve()
        self.manifest = read_manifest(self.folder)
        self._engine = DuckDBEngine(self.folder / "marts.duckdb", read_only=True, is_sealed=True)

    @cached_property
    def tables(self) -> tuple[str, ...]:
        """Names of the published tables, sorted."""
        return tuple(sorted(self.manifest.tables))

    def require(self, name: str) -> None:
        """Raise NotFoundError, which names the nearest tables, when there is no published table `name`."""
        if name not in self.tables:
            close = get_close_matches(name, self.tables, n=3)
            hint = f"Did you mean {', '.join(close)}?" if close else f"There are {', '.join(self.tables)}."
            raise NotFoundError(f"There is no published table `{name}`. {hint}")

    def table(self, name: str) -> pl.DataFrame:
        """Return all rows of the published table `name`, sorted by its key; NotFoundError when there is none."""
        self.require(name)
        import polars as pl

        from journeyflow.engines.base import relation

        try:
            return pl.read_parquet(self.folder / self.manifest.tables[name].file)
        except FileNotFoundError:
            # The generation was deleted meanwhile, but its open database file can still be read.
            return self.sql(f"select * from {relation(name)} order by all nulls first")

    def sql(self, query: str, params: Sequence[Any] | None = None) -> pl.DataFrame:
        """Return the rows of a query over the published tables.

        Parameters
        ----------
        query : str
            A SELECT in DuckDB's dialect; it can read only the published tables.
        params : sequence or None
            The values of ``$1``, ``$2`` and so on in the query.

        Raises
        ------
        EngineError
            When the query fails, or two of its columns have the same name.
        """
        return frame_of(self._engine.rows(query, params))

    def rows(self, query: str, params: Sequence[Any] | None = None) -> tuple[dict[str, str], list[tuple[Any, ...]]]:
        """Return column name → SQL type and the rows of a query, without a data frame, which takes longer to import."""
        rows = self._engine.values(query, params)
        return self._engine.fields(), rows

    def require_one(self, text: str) -> None:
        """Raise EngineError unless a text that somebody wrote is one statement."""
        self._engine.require_one(text)

    def capped(self, query: str, most: int) -> str:
        """Return a SELECT of at most `most` rows of a query that somebody wrote; EngineError unless it is one query."""
        self._engine.require_query(query)
        return f"select * from (\n{query.strip().rstrip(';')}\n) limit {most}"

    def records(self, query: str, params: Sequence[Any] | None = None) -> list[dict[str, Any]]:
        """Return the rows of a query as dicts by column name."""
        return self._engine.records(query, params)

    def limited(self, seconds: float) -> AbstractContextManager[None]:
        """Return a context in which a query that takes longer is stopped with an EngineError."""
        return self._engine.limited(seconds)

    @cached_property
    def critical_spots(self) -> tuple[str, ...]:
        """Details of the critical rows of `blind_spots`, most items first; empty without that table."""
        if "blind_spots" not in self.tables:
            return ()
        rows = self._engine.values(
            "select detail from blind_spots where severity = 'critical' order by item_count desc, kind, subject"
        )
        return tuple(detail for (detail,) in rows)

    @cached_property
    def warning_spots(self) -> tuple[str, ...]:
        """Details of the warnings of `blind_spots` on what is empty and why, in the order of `EMPTY_KINDS`."""
        if "blind_spots" not in self.tables:
            return ()
        query = "select kind, detail from blind_spots where severity = 'warning' order by subject"
        spots = self._engine.values(query)
        return tuple(detail for wanted in EMPTY_KINDS for kind, detail in spots if kind == wanted)

    def close(self) -> None:
        """Close the database file."""
        self._engine.close()

    def __enter__(self) -> PublishedTables:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_published(published: str | Path) -> PublishedTables:
    """Open the published tables of a project for reading.

    Parameters
    ----------
    published : str or Path
        The `publish` folder, for its current generation, or the folder of one generation.

    Returns
    -------
    PublishedTables
        With ``.table(name)``, ``.sql(query)`` and ``.manifest``; usable as a context manager.

    Raises
    ------
    NotFoundError
        When nothing is published there.
    """
    folder = Path(published)
    inside = folder / "published"
    if (inside / "current").exists() and not (folder / "current").exists() and not (folder / MANIFEST).exists():
        raise NotFoundError(f"{folder} is the folder of a project. Its tables are in {inside}: open that.")
    return PublishedTables(folder)


def frame_of(rows: pa.Table) -> pl.DataFrame:
    """Return the rows of a query as a data frame; refuses types that it lacks: intervals and unions."""
    import polars as pl
    from pyarrow import types

    require_types(rows.schema, "A table", lambda kind: types.is_interval(kind) or types.is_union(kind))
    found = pl.from_arrow(rows)
    assert isinstance(found, pl.DataFrame)
    return found


def require_types(schema: pa.Schema, what: str, is_lacking: Callable[[pa.DataType], bool]) -> None:
    """Raise EngineError, which names the columns, where one has a type that `what` lacks, or holds it inside."""

    def lacks(kind: pa.DataType) -> bool:
        return is_lacking(kind) or any(lacks(kind.field(at).type) for at in range(kind.num_fields))

    if found := [f"{field.name} ({field.type})" for field in schema if lacks(field.type)]:
        raise EngineError(f"{what} cannot hold the type of {', '.join(found)}. Cast to varchar.")
