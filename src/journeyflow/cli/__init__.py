"""The command line: arguments in, exit code out."""

from __future__ import annotations

from collections.abc import Sequence


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
    from journeyflow.cli.failures import guarded

    guarded(lambda: app(arguments, prog_name="journeyflow"))
