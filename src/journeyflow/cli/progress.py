"""Progress of a long command: a terminal display, plain lines, or lines of JSON."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from journeyflow.cli.output import DEBUG_VARIABLE, described
from journeyflow.utils.formatting import escaped

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from journeyflow.utils.formatting import Progress


RATED_FROM = 1_000
"""Lower counts are of models and files, whose rate has no use."""


class Watcher:
    """A `journeyflow.utils.formatting.Progress` that draws one line per phase.

    A count that starts again, as it does with each new file, is added to what the phase had reached.
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
        completed = self._before.get(phase, 0) + done
        # A total that is only known when it is reached is that of one file, not of the phase.
        known = total if total is not None and done < total else None
        task = self._tasks[phase]
        self._bars.update(task, completed=completed, total=known, what=escaped(what), rate=self._rate(task, completed))

    def _rate(self, task: TaskID, done: int) -> str:
        elapsed = self._bars.tasks[self._bars.task_ids.index(task)].elapsed
        return f"{done / elapsed:,.0f}/s" if elapsed and done >= RATED_FROM else ""


class ProgressStyle(StrEnum):
    """How progress is shown: bars on a terminal and nothing in a log, or plain lines in both, or nothing."""

    AUTO = "auto"
    PLAIN = "plain"
    NONE = "none"


PROGRESS_VARIABLE = "JOURNEYFLOW_PROGRESS"
"""Environment variable for `ProgressStyle`."""
ProgressOption = Annotated[
    ProgressStyle,
    typer.Option(
        "--progress",
        envvar=PROGRESS_VARIABLE,
        help="On stderr: bars on a terminal (auto), lines that a log can keep (plain), or none.",
    ),
]


@contextmanager
def shown_progress(
    *, is_quiet: bool, is_json: bool = False, style: ProgressStyle = ProgressStyle.AUTO
) -> Iterator[Progress]:
    """Yield a progress callback; unless `style` is plain it draws on a terminal only, and not beside JSON."""
    if style is ProgressStyle.PLAIN and not is_quiet:
        from journeyflow.utils.formatting import PlainLines

        yield PlainLines(sys.stderr)
        return
    if is_quiet or is_json or style is ProgressStyle.NONE or not sys.stderr.isatty():
        from journeyflow.utils.formatting import silent

        yield silent
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from journeyflow.cli.output import console

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


LOG_VARIABLE = "JOURNEYFLOW_LOG"
"""Environment variable for the form of progress: ``text`` or ``json``."""


class LogFormat(StrEnum):
    """Forms of progress on the error stream."""

    TEXT = "text"
    JSON = "json"


LogOption = Annotated[
    LogFormat,
    typer.Option("--log-format", envvar=LOG_VARIABLE, help="Log on stderr: text, or json (one object per line)."),
]


@contextmanager
def watched(
    command: str, form: LogFormat, *, is_quiet: bool, is_json: bool = False, style: ProgressStyle = ProgressStyle.AUTO
) -> Iterator[Progress]:
    """Yield the progress callback of one command.

    As JSON, the log holds start and end of the command too, also when `is_quiet`. An error is then logged, not printed,
    and leaves as `typer.Exit` with its code.
    """
    if form is LogFormat.TEXT:
        with shown_progress(is_quiet=is_quiet, is_json=is_json, style=style) as progress:
            yield progress
        return
    from journeyflow.utils.formatting import JsonLines

    lines = JsonLines(sys.stderr)
    started = time.monotonic()
    lines.note("command_started", {"command": command})
    try:
        yield lines
    except (KeyboardInterrupt, Exception) as error:
        if isinstance(error, typer.Exit | BrokenPipeError):
            raise
        message, code = described(error)
        seconds = round(time.monotonic() - started, 3)
        what: dict[str, str | float | None] = {"command": command, "exit_code": int(code), "detail": message}
        lines.note("command_failed", {**what, "seconds": seconds})
        if os.environ.get(DEBUG_VARIABLE):
            raise
        raise typer.Exit(code) from error
    lines.note("command_finished", {"command": command, "seconds": round(time.monotonic() - started, 3)})
