"""From an exception to one message on the error stream and an exit code."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import typer

from journeyflow.errors import ExitCode, JourneyflowError
from journeyflow.text import escaped

DEBUG_VARIABLE = "JOURNEYFLOW_DEBUG"
"""Environment variable that lets exceptions through with their traceback."""
INTERRUPTED = "interrupted. What was published before is untouched."


def guarded(work: Callable[[], object]) -> None:
    """Do `work`; turn what it raises into a message and an exit code.

    Parameters
    ----------
    work : callable
        The command.

    Raises
    ------
    SystemExit
        With the exit code of the error (`errors.ExitCode`); 130 after Ctrl-C.
    """
    try:
        work()
    except KeyboardInterrupt:
        typer.echo(f"journeyflow: {INTERRUPTED}", err=True)
        sys.exit(ExitCode.INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output has seen enough; the interpreter must not complain when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(ExitCode.FAILED)
    except Exception as error:
        _leave(error)


def described(error: BaseException) -> tuple[str, ExitCode]:
    """Return what a user is told of an error, and the exit code; no value of the data is in it."""
    if isinstance(error, JourneyflowError):
        return error.message, error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED, ExitCode.INTERRUPTED
    return _unexpected(error), ExitCode.FAILED


def _leave(error: Exception) -> NoReturn:
    if os.environ.get(DEBUG_VARIABLE):
        raise error
    message, code = described(error)
    typer.echo(f"journeyflow: {escaped(message, keep_lines=True)}", err=True)
    sys.exit(code)


def _unexpected(error: BaseException) -> str:
    """Describe a fault of ours by its kind and place; its text may hold personal data, so it stays behind --debug."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    why = f" ({error.strerror})" if isinstance(error, OSError) and error.strerror else ""
    where = f"{Path(last.filename).name}, line {last.lineno}"
    return (
        f"an unexpected {type(error).__name__}{why} in {where}. What was published before is untouched. "
        "See the details with: journeyflow --debug ..."
    )
