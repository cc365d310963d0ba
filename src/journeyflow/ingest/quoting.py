"""Names and values of users inside SQL: quoted by the library, never by hand."""

from __future__ import annotations

import re

from sqlglot import exp

_PATH_PART = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


def literal(value: str) -> str:
    """Return a text as an SQL literal.

    Examples
    --------
    >>> literal("it's")
    "'it''s'"
    """
    return exp.Literal.string(value).sql("duckdb")


def identifier(name: str) -> str:
    """Return a name as a quoted SQL identifier.

    Examples
    --------
    >>> identifier('a"b')
    '"a""b"'
    """
    return exp.to_identifier(name, quoted=True).sql("duckdb")


def json_path(path: str) -> str:
    """Return a dotted path of the configuration as a JSON pointer.

    DuckDB's other notation takes a ``*`` in a key for a wildcard, even a quoted one.

    Examples
    --------
    >>> json_path("items[0].unit/price")
    '/items/0/unit~1price'
    """
    parts = (key.replace("~", "~0").replace("/", "~1") or index for key, index in _PATH_PART.findall(path))
    return "".join(f"/{part}" for part in parts)
