"""Values as text for terminals and reports, labels in place of names, progress and log lines."""

from __future__ import annotations

import json
import re
import time
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol, TextIO

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


class Progress(Protocol):
    """Callback of long operations. One with a method ``note(event, facts)`` receives the events of `tell` too."""

    def __call__(self, phase: str, what: str, done: int, total: int | None = None) -> None:
        """Report `done` of `total` (None = unknown) units of `what` in a phase of the run."""


def silent(phase: str, what: str, done: int, total: int | None = None) -> None:
    """Ignore progress."""


def tell(progress: Progress, event: str, **facts: str | float | None) -> None:
    """Log an event of `EVENTS`; facts are names, counts and seconds, never values of rows or ids of persons."""
    note = getattr(progress, "note", None)
    if note is not None:
        note(event, facts)


EVENTS: Mapping[str, str] = {
    "command_started": "info",
    "run_started": "info",
    "phase_started": "info",
    "progress": "info",
    "loaded": "info",
    "phase_finished": "info",
    "alert": "warning",
    "published": "info",
    "compacted": "info",
    "run_finished": "info",
    "command_finished": "info",
    "command_failed": "error",
}
"""Event → level; `docs/operations.md` describes the facts of each. Released names are stable."""
PROGRESS_SECONDS = 10.0
"""Shortest time between two lines of progress."""
_Fact = str | float | None


class JsonLines:
    """A `Progress` that writes one ASCII JSON object per line: time, level, event, run id, phase and facts.

    Lines of loading omit the names of input files, which `load_audit` has.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._run_id: str | None = None
        self._phase: str | None = None
        self._next_progress = clock() + PROGRESS_SECONDS

    def __call__(self, phase: str, what: str, done: int, total: int | None = None) -> None:
        """Write a line of progress, at most one in `PROGRESS_SECONDS`."""
        if self._clock() < self._next_progress:
            return
        self._next_progress = self._clock() + PROGRESS_SECONDS
        name = None if phase == "load" else what
        self._write("progress", {"what": name, "done": done, "total": total}, phase=str(phase))

    def note(self, event: str, facts: Mapping[str, _Fact]) -> None:
        """Write a line for an event of `EVENTS`."""
        if event == "run_started":
            self._run_id = str(facts["run_id"])
        if event == "phase_started":
            self._phase = str(facts["phase"])
        self._write(event, {name: fact for name, fact in facts.items() if name not in ("run_id", "phase")})
        if event == "phase_finished":
            self._phase = None
        if event == "run_finished":
            self._run_id = self._phase = None

    def _write(self, event: str, facts: Mapping[str, _Fact], phase: str | None = None) -> None:
        line = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": "error" if facts.get("status") == "failed" else EVENTS[event],
            "event": event,
            "run_id": self._run_id,
            "phase": phase or self._phase,
            **facts,
        }
        self._stream.write(json.dumps(line, default=str) + "\n")
        self._stream.flush()


class PlainLines:
    """A `Progress` that writes a line of text when a phase starts and ends, and while it lasts."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._next_progress = clock() + PROGRESS_SECONDS

    def __call__(self, phase: str, what: str, done: int, total: int | None = None) -> None:
        """Write a line of progress, at most one in `PROGRESS_SECONDS`; names of input files are not written."""
        if self._clock() >= self._next_progress:
            name = "records" if phase == "load" else what
            self._write(f"{phase}: {done:,}{f' of {total:,}' if total else ''} {name}")

    def note(self, event: str, facts: Mapping[str, _Fact]) -> None:
        """Write a line for the start and the end of a phase, and for the publication."""
        if event == "phase_started":
            self._write(f"{facts['phase']} ...")
        elif event == "phase_finished":
            self._write(f"{facts['phase']} done in {facts['seconds']} s")
        elif event == "published":
            self._write("published")

    def _write(self, line: str) -> None:
        self._next_progress = self._clock() + PROGRESS_SECONDS
        self._stream.write(f"{datetime.now(UTC):%H:%M:%S} {escaped(line)}\n")
        self._stream.flush()
