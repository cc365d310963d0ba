"""The command line: arguments in, exit code out."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with a code of `journeyflow.errors.ExitCode`; None reads `sys.argv`."""
    # The matrices of the search for pain points are small: several threads wait for one another more than they compute.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from journeyflow.cli.app import app
    from journeyflow.cli.output import guarded

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # Characters that the terminal's encoding lacks are printed as escapes.
            stream.reconfigure(errors="backslashreplace")
    guarded(lambda: app(arguments, prog_name="journeyflow"))
