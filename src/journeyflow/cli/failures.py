"""From an exception to one message on the error stream and an exit code."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import typer

from journeyflow.cli.text import escaped
from journeyflow.errors import ExitCode, JourneyflowError

T = TypeVar("T")


def guarded(work: Callable[[], T], *, debug: bool) -> T:
    """Return what `work` returns; turn what it raises into a message and `typer.Exit`.

    Parameters
    ----------
    work : callable
        The command.
    debug : bool
        Let the exception through with its traceback.

    Raises
    ------
    typer.Exit
        With the error's exit code (`errors.ExitCode`); 130 after Ctrl-C.
    """
    try:
        return work()
    except KeyboardInterrupt:
        typer.echo("Interrupted; what was published before is untouched.", err=True)
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    except JourneyflowError as error:
        if debug:
            raise
        typer.echo(f"journeyflow: {escaped(error.message, keep_lines=True)}", err=True)
        raise typer.Exit(error.exit_code) from None
    except BrokenPipeError:
        raise
    except Exception as error:
        if debug or isinstance(error, typer.Exit | typer.Abort) or type(error).__module__.startswith(("typer", "click")):
            raise
        typer.echo(_unexpected(error), err=True)
        raise typer.Exit(ExitCode.FAILED) from None


def _unexpected(error: Exception) -> str:
    """Describe a fault of ours by its kind and place; its text may hold data of a person, so it stays behind --debug."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(last.filename).name}:{last.lineno}"
    return (
        f"journeyflow: an unexpected {type(error).__name__} at {place}; nothing was published by this command. "
        "See the details with: journeyflow --debug ..."
    )
