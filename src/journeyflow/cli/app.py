"""The command line application: all commands in order."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from journeyflow.cli import init, maintenance, query, report, run
from journeyflow.cli.output import DEBUG_VARIABLE

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Customer-journey maps, funnels and drop-off inferred every night from what people really did.",
    epilog="Start with: journeyflow demo",
)


def _show_version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        typer.echo(f"journeyflow {version('journeyflow')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", envvar=DEBUG_VARIABLE, help="Show the traceback of an error.")
    ] = False,
) -> None:
    """Take the options that stand before the command."""
    if debug:
        os.environ[DEBUG_VARIABLE] = "1"


run.register_demo(app)
init.register(app)
run.register(app)
report.register(app)
query.register(app)
maintenance.register(app)
maintenance.register_erase(app)
