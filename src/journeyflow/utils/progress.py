"""Progress callbacks, and the log of a command as plain lines or as lines of JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Protocol, TextIO

from journeyflow.utils.formatting import escaped


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
