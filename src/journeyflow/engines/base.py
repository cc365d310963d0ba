"""The engine protocol, and identifiers checked and quoted for SQL."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import pyarrow as pa

from journeyflow.errors import EngineError


class Engine(Protocol):
    """A database that holds relations named `layer.name`."""

    def register(self, name: str, table: pa.Table) -> None:
        """Create or replace the table `name` with the rows of `table`."""

    def append(self, name: str, table: pa.Table) -> None:
        """Add the rows of `table` to the table `name`, created when it is not there."""

    def run(self, name: str, select: str, *, kind: str = "table") -> None:
        """Create or replace the table (or `kind="view"`) `name` as the rows of `select`."""

    def rows(self, select: str, params: Sequence[Any] | None = None) -> pa.Table:
        """Return the rows of `select`, whole."""

    def stream(self, select: str, batch_rows: int) -> Iterator[pa.RecordBatch]:
        """Yield the rows of `select` in its order, in batches of about `batch_rows`; other calls may come meanwhile."""

    def execute(self, statement: str, params: Sequence[Any] | None = None) -> None:
        """Run a statement for its effect."""

    def columns(self, name: str) -> Mapping[str, str]:
        """Return the columns of `name` in order, with their types; empty when there is no such relation."""

    def drop(self, name: str) -> None:
        """Drop the table or view `name` if it is there."""


_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def relation(name: str) -> str:
    """Return `layer.name` (or `database.layer.name`) quoted for a statement.

    Raises
    ------
    EngineError
        When a part is not a plain word.

    Examples
    --------
    >>> relation("marts.funnel_steps")
    '"marts"."funnel_steps"'
    """
    return ".".join(word(part) for part in name.split("."))


def word(name: str) -> str:
    """Return one identifier quoted; it must be letters, digits and underscores."""
    if not _WORD.fullmatch(name):
        raise EngineError(f"`{name[:40]}` cannot name a relation or column: use letters, digits and underscores.")
    return f'"{name}"'


def text(value: str) -> str:
    """Return a string literal.

    Examples
    --------
    >>> text("it's")
    "'it''s'"
    """
    return "'" + value.replace("'", "''") + "'"
