"""The commands, in the order in which a newcomer meets them."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from journeyflow.cli import ask, care, forgetting, night, report, setup
from journeyflow.cli.failures import DEBUG_VARIABLE

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


night.register_demo(app)
setup.register(app)
night.register(app)
report.register(app)
ask.register(app)
care.register(app)
forgetting.register(app)
