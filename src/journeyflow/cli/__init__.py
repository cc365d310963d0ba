"""The command line: arguments in, exit code out."""

from __future__ import annotations


def main() -> None:
    """Run the command line on `sys.argv` and leave the process with its exit code."""
    from journeyflow.cli.app import app

    app(prog_name="journeyflow")
