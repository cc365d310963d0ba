"""Who watches a long command: a person at a terminal, or a program that reads lines of JSON."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from journeyflow.cli.failures import DEBUG_VARIABLE, described

if TYPE_CHECKING:
    from journeyflow.progress import Progress

LOG_VARIABLE = "JOURNEYFLOW_LOG"
"""Environment variable for how commands tell what they do: ``text`` or ``json``."""


class LogFormat(StrEnum):
    """How a command tells on the error stream what it does."""

    TEXT = "text"
    JSON = "json"


LogOption = Annotated[
    LogFormat,
    typer.Option("--log-format", envvar=LOG_VARIABLE, help="Progress for a person, or a JSON object a line (stderr)."),
]


@contextmanager
def watched(command: str, form: LogFormat, *, is_quiet: bool) -> Iterator[Progress]:
    """Yield something to report progress to, for the time of one command.

    Parameters
    ----------
    command : str
        Its name, for the log.
    form : LogFormat
        For whom.
    is_quiet : bool
        Draw nothing for a person; a log is written all the same.

    Raises
    ------
    typer.Exit
        With the code of the error, when a log was written: then the message is in it, and no other text comes.
    """
    if form is LogFormat.TEXT:
        from journeyflow.cli.progress import shown_progress

        with shown_progress(is_quiet=is_quiet) as progress:
            yield progress
        return
    from journeyflow.logs import JsonLines

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
