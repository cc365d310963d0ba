"""Identifiers, checked and quoted in one place."""

from __future__ import annotations

import re

from journeyflow.errors import EngineError

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
