"""How far long work is: counts and rates on a terminal, nothing elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from journeyflow.text import escaped

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from journeyflow.progress import Progress

RATED_FROM = 1_000
"""Counts below this are of models and files, whose rate tells nothing."""


class Watcher:
    """Turns calls of `journeyflow.progress.Progress` into one line a phase.

    Parameters
    ----------
    bars : rich.progress.Progress
        Where the lines are drawn.

    Notes
    -----
    A count that falls back, as it does with each new file, goes on from where it was.
    """

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}
        self._before: dict[str, int] = {}
        self._last: dict[str, int] = {}

    def __call__(self, phase: str, what: str, done: int, total: int | None = None) -> None:
        """Show `done` of `total` units of `what`."""
        if phase not in self._tasks:
            self._tasks[phase] = self._bars.add_task(phase, total=None, what="", rate="")
        if done < self._last.get(phase, 0):
            self._before[phase] = self._before.get(phase, 0) + self._last[phase]
        self._last[phase] = done
        whole = self._before.get(phase, 0) + done
        # A total that is only known when it is reached is that of one file, not of the phase.
        known = total if total is not None and done < total else None
        task = self._tasks[phase]
        self._bars.update(task, completed=whole, total=known, what=escaped(what), rate=self._rate(task, whole))

    def _rate(self, task: TaskID, done: int) -> str:
        elapsed = self._bars.tasks[self._bars.task_ids.index(task)].elapsed
        return f"{done / elapsed:,.0f}/s" if elapsed and done >= RATED_FROM else ""


@contextmanager
def shown_progress(*, is_quiet: bool) -> Iterator[Progress]:
    """Yield something to report progress to; it draws only when the error stream is a terminal.

    Parameters
    ----------
    is_quiet : bool
        Draw nothing, whatever the stream.
    """
    if is_quiet or not sys.stderr.isatty():
        from journeyflow.progress import silent

        yield silent
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from journeyflow.cli.frames import console

    columns = (
        TextColumn("{task.description:<9}", markup=False),
        BarColumn(bar_width=20),
        TextColumn("{task.completed:,}"),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[what]}", style="dim", markup=False),
    )
    with Progress(*columns, console=console(stderr=True), transient=True) as bars:
        yield Watcher(bars)
