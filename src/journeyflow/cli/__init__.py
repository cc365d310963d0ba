"""The command line: arguments in, exit code out."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from io import TextIOWrapper


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and leave with its exit code.

    Parameters
    ----------
    arguments : sequence of str or None
        What stands after `journeyflow`; None reads the command line of the process.

    Raises
    ------
    SystemExit
        Always; its code is one of `journeyflow.errors.ExitCode`.
    """
    from journeyflow.cli.app import app
    from journeyflow.cli.output import guarded

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # What the terminal's encoding has no letter for is shown as its code.
            stream.reconfigure(errors="backslashreplace")
    guarded(lambda: app(arguments, prog_name="journeyflow"))
