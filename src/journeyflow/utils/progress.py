"""Progress callbacks, and events of a command as lines of JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Protocol, TextIO


class Progress(Protocol):
    """Called now and then by long work; does nothing when nobody watches."""

    def __call__(self, phase: str, what: str, done: int, total: int | None = None) -> None:
        """Report `done` of `total` (None = unknown) units of `what` in a phase of the night."""


def silent(phase: str, what: str, done: int, total: int | None = None) -> None:
    """Report to nobody."""


def tell(progress: Progress, event: str, **facts: str | float | None) -> None:
    """Tell that something happened, to those who write it down: a `Progress` that has a method `note` too.

    Parameters
    ----------
    progress : Progress
        Who watches.
    event : str
        A name of `logs.EVENTS`.
    **facts
        Names, counts and seconds; never a value of a row or an id of a person.
    """
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
"""Events by name, with their level; `docs/operations.md` says what each holds. A name, once released, stays."""
PROGRESS_SECONDS = 10.0
"""No two lines of progress come closer to each other."""
_Fact = str | float | None


class JsonLines:
    """Writes one JSON object a line: ``time``, ``level``, ``event``, ``run_id``, ``phase``, and the facts of the event.

    Parameters
    ----------
    stream : TextIO
        Where to write; each line is flushed.
    clock : callable
        Seconds that never go back.

    Notes
    -----
    It is a `progress.Progress`. Names of files are left out of what loading tells: `load_audit` has them. JSON escapes
    control characters, and here everything that is not ASCII, so that a line stays one line on any terminal.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._run_id: str | None = None
        self._phase: str | None = None
        self._next_progress = clock() + PROGRESS_SECONDS

    def __call__(self, phase: str, what: str, done: int, total: int | None = None) -> None:
        """Write down `done` of `total`, unless such a line was written just now."""
        if self._clock() < self._next_progress:
            return
        self._next_progress = self._clock() + PROGRESS_SECONDS
        name = None if phase == "load" else what
        self._write("progress", {"what": name, "done": done, "total": total}, phase=str(phase))

    def note(self, event: str, facts: Mapping[str, _Fact]) -> None:
        """Write down one event of `EVENTS`."""
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
