"""The engine protocol, and quoting of identifiers and texts for SQL."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from journeyflow.errors import EngineError

if TYPE_CHECKING:
    import pyarrow as pa


class Engine(Protocol):
    """The extension point for databases: what models, checks, statistics and the kernel need of one.

    Relations are named ``layer.name``. A new engine is a class with these methods in a module of `engines/`, the only
    package that may import its client library; the cases of the models then run on it.

    Notes
    -----
    - Times are naive UTC in both directions.
    - Rows of a relation have no order; a `select` that needs one says ORDER BY.
    - Every failure is an `EngineError` that names the model and contains no value of a row.
    """

    def register(self, name: str, table: pa.Table) -> None:
        """Create or replace the table `name` with the rows of `table`."""

    def append(self, name: str, table: pa.Table) -> None:
        """Insert the rows of `table` into the table `name` by column name; create it when it is missing."""

    def run(self, name: str, select: str) -> None:
        """Create or replace the table `name` with the rows of `select`."""

    def rows(self, select: str, params: Sequence[Any] | None = None) -> pa.Table:
        """Return all rows of `select`; `params` are the values of ``$1``, ``$2`` and so on."""

    def values(self, select: str, params: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
        """Return the rows of `select`, which are few, as tuples; it takes half the time of `rows`."""

    def stream(self, select: str, batch_rows: int) -> Iterator[pa.RecordBatch]:
        """Yield the rows of `select` in its order, in batches of about `batch_rows`; other calls may be interleaved."""

    def execute(self, statement: str, params: Sequence[Any] | None = None) -> None:
        """Run a statement that returns no rows."""

    def columns(self, name: str) -> Mapping[str, str]:
        """Return column name → type in order; empty when the relation does not exist."""

    def require_running(self) -> None:
        """Raise EngineError where what is computed is to end; called by what computes for long outside the database."""

    def relations(self) -> Mapping[str, Mapping[str, str]]:
        """Return what `columns` returns of every table, by its name."""


_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def relation(name: str) -> str:
    """Return `layer.name` (or `database.layer.name`) quoted.

    Examples
    --------
    >>> relation("marts.funnel_steps")
    '"marts"."funnel_steps"'
    """
    return ".".join(word(part) for part in name.split("."))


def word(name: str) -> str:
    """Return one identifier quoted; EngineError unless it is letters, digits and underscores."""
    if not _WORD.fullmatch(name):
        raise EngineError(f"`{name[:40]}` cannot name a relation or column: use letters, digits and underscores.")
    return f'"{name}"'


def quoted(name: str) -> str:
    """Return any name, such as one of a file, as a quoted identifier.

    Examples
    --------
    >>> quoted('a"b')
    '"a""b"'
    """
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    """Return a string literal.

    Examples
    --------
    >>> text("it's")
    "'it''s'"
    """
    return "'" + value.replace("'", "''") + "'"
