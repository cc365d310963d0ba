"""Formatting of values for terminals and reports, with control characters escaped, and labels in place of names."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

_INVISIBLE = (
    r"[\s\x00-\x20\x7f-\xa0\xad\u034f\u061c\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufe00-\ufe0f"
    r"\ufeff]"
)
_WIDE_SIGN = r"[\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b\u2212]"
HIDDEN_FORMULA_START = rf"^(?:{_INVISIBLE}+[=+\-@]|{_INVISIBLE}*{_WIDE_SIGN})"
"""Beginning of a text that a spreadsheet may run as a formula although no sign of ASCII begins it: some drop invisible
characters, and some read full-width signs.
"""
FORMULA_START = rf"^[=+\-@\t\r\n]|{HIDDEN_FORMULA_START}"
"""Beginning of any text that a spreadsheet may run as a formula."""


def label(name: str) -> str:
    """Return a name of the configuration as words; one that was written as words is kept.

    >>> label("post_purchase")
    'Post purchase'
    >>> label("iPhone buyers")
    'iPhone buyers'
    """
    if not re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)*", name):
        return name
    return name[0].upper() + name[1:].replace("_", " ")


def escaped(value: object, *, keep_lines: bool = False) -> str:
    r"""Return `value` as text with control and direction characters escaped.

    Examples
    --------
    >>> escaped("a\x1b[31mb")
    'a\\x1b[31mb'
    """
    text = str(value)
    if text.isprintable():
        return text
    return "".join(
        character
        if _is_harmless(character) or (keep_lines and character in "\n\t")
        else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def _is_harmless(character: str) -> bool:
    return character.isprintable() or unicodedata.category(character) in {"Zs", "Co", "Cn"}


def count(value: int | None) -> str:
    """Return a count with thousands separated, or a dash.

    Examples
    --------
    >>> count(1234567)
    '1,234,567'
    """
    return "-" if value is None else f"{value:,}"


def numbered(value: int, noun: str) -> str:
    """Return a count with its noun.

    Examples
    --------
    >>> numbered(1, "row"), numbered(1200, "row")
    ('1 row', '1,200 rows')
    """
    return f"{value:,} {noun}{'s' * (value != 1)}"


def percent(rate: float | None) -> str:
    """Return a rate as a percentage with one decimal, or a dash.

    Examples
    --------
    >>> percent(0.1234)
    '12.3 %'
    """
    return "-" if rate is None else f"{rate * 100:.1f} %"


def duration(seconds: float | None) -> str:
    """Return seconds in the two largest units, or a dash.

    Examples
    --------
    >>> duration(93784)
    '1 d 2 h'
    >>> duration(0.4)
    '0 s'
    """
    if seconds is None:
        return "-"
    if seconds < 0:
        return f"-{duration(-seconds)}"
    rest, parts = round(seconds), []
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        amount, rest = divmod(rest, length)
        if amount:
            parts.append(f"{amount} {unit}")
    return " ".join(parts[:2]) or "0 s"


def cell(value: object) -> str:
    """Return a value of a table as text; null is empty."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds" if not value.microsecond else "microseconds")
    if isinstance(value, date | Decimal | timedelta):
        return str(value)
    return escaped(value)


PERSONA, STAGE, EVENT = "persona", "stage", "event"
ANY = "any"


@dataclass(frozen=True)
class Labels:
    """Labels by kind, model (`any` but for stages) and name."""

    by_name: Mapping[tuple[str, str, str], str] = field(default_factory=dict)

    @classmethod
    def of_rows(cls, rows: Iterable[Mapping[str, Any]]) -> Labels:
        """Return the labels of rows of `config.labels` or of the published table `labels`."""
        return cls({(row["kind"], row["model"], row["name"]): row["label"] for row in rows})

    def persona(self, name: str) -> str:
        """Return the label of a persona."""
        return self.by_name.get((PERSONA, ANY, name)) or label(name)

    def stage(self, model: str, name: str) -> str:
        """Return the label of a stage of a journey model."""
        return self.by_name.get((STAGE, model, name)) or label(name)

    def touchpoint(self, name: str) -> str:
        """Return a touchpoint or an event name with the event's label; without a label as it is.

        >>> Labels({("event", "any", "page_view"): "Page"}).touchpoint("web: page_view")
        'web: Page'
        """
        channel, colon, surface = name.rpartition(": ")
        found = self.by_name.get((EVENT, ANY, surface))
        return name if found is None else f"{channel}{colon}{found}"
