"""Where a figure was read: a row of a published table, and the SELECT that returns the figure again."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import md5

from journeyflow.engines.names import text, word

Key = str | int | None
"""A value of a row's key."""
LONGEST_LITERAL = 200
"""Longer values are compared by their MD5, so that the SQL can be read and copied."""


@dataclass(frozen=True, slots=True)
class Source:
    """A row of a published table and the columns of a figure in it.

    Attributes
    ----------
    table : str
    where : tuple of (str, str or int or None)
        Column and value of the row's key.
    columns : tuple of str
        Of the value, then those of low, high and n that there are.
    query : str
        The SELECT, for the few figures that are no column of one row.
    """

    table: str
    where: tuple[tuple[str, Key], ...]
    columns: tuple[str, ...]
    query: str = ""

    @property
    def sql(self) -> str:
        """The SELECT in DuckDB's dialect; it holds no character that cannot be seen."""
        if self.query:
            return self.query
        condition = conjunction(self.where)
        columns = ", ".join(self.columns)
        return f"select {columns} from {word(self.table)}" + (f" where {condition}" if condition else "")


def conjunction(where: tuple[tuple[str, Key], ...]) -> str:
    """Return ``column = value and …`` with every value quoted."""
    return " and ".join(_equality(column, value) for column, value in where)


def _equality(column: str, value: Key) -> str:
    if value is None:
        return f"{column} is null"
    if isinstance(value, int):
        return f"{column} = {value}"
    if len(value) > LONGEST_LITERAL:
        return f"md5({column}) = '{md5(value.encode(), usedforsecurity=False).hexdigest()}'"
    return f"{column} = {literal(value)}"


def literal(value: str) -> str:
    r"""Return a string as an SQL expression in which hidden characters are written as ``chr(…)``.

    Examples
    --------
    >>> literal("it's")
    "'it''s'"
    >>> literal("a\u202eb")
    "'a' || chr(8238) || 'b'"
    """
    if value.isprintable():
        return text(value)
    parts: list[str] = []
    run = ""
    for character in value:
        if character.isprintable():
            run += character
            continue
        parts += [text(run)] if run else []
        parts.append(f"chr({ord(character)})")
        run = ""
    parts += [text(run)] if run else []
    return " || ".join(parts)
