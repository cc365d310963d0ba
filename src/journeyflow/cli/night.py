"""`demo`, `run`, `plan`, `status` and `serve`: the nightly job by hand and by the clock."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from journeyflow.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, examples, parse_instant
from journeyflow.cli.watching import LogFormat, LogOption, watched
from journeyflow.errors import ExitCode

AsOfOption = Annotated[
    str | None,
    typer.Option("--as-of", help="Read events up to this day (its first instant) or time, UTC.", metavar="WHEN"),
]
MemoryOption = Annotated[
    str | None,
    typer.Option("--memory", help="What the database may use before it spills to disk, e.g. 4GB.", metavar="SIZE"),
]
WholeOption = Annotated[
    bool, typer.Option("--whole", help="Build every table anew, also what the last build could lend.")
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]


def register_demo(app: typer.Typer) -> None:
    """Add `demo`, which comes before all others."""
    app.command(epilog=examples("journeyflow demo", "journeyflow demo --folder trial"))(demo)


def register(app: typer.Typer) -> None:
    """Add the commands of this module to `app`."""
    app.command(
        epilog=examples("journeyflow run", "journeyflow run --as-of 2026-03-31", "journeyflow run --memory 4GB --json")
    )(run)
    app.command(epilog=examples("journeyflow plan"))(plan)
    app.command(epilog=examples("journeyflow status", "journeyflow status --json"))(status)
    app.command(epilog=examples("journeyflow serve --cron '0 2 * * *'"))(serve)


def demo(
    folder: Annotated[Path, typer.Option("--folder", help="Where to put the sample and its results.")] = Path(
        "journeyflow-demo"
    ),
    quiet: QuietOption = False,
) -> None:
    """Run everything on a small made-up shop and show what it found."""
    from journeyflow.cli.showcase import prepare_demo, print_showcase
    from journeyflow.config import load_config

    config = prepare_demo(folder)
    if not quiet:
        typer.echo(f"A made-up shop in {folder}/: about 5,000 people over 180 days. Running the nightly job on it;")
        typer.echo("the first run on a machine also compiles the kernel, which takes up to a minute ...")
    _run(config, None, None, LogFormat.TEXT, quiet=quiet, as_json=False)
    if not quiet:
        print_showcase(load_config(config), folder)


def run(
    config: ConfigOption = DEFAULT_CONFIG,
    as_of: AsOfOption = None,
    memory: MemoryOption = None,
    fail_on_alarm: Annotated[
        bool, typer.Option("--fail-on-alarm", help="Exit with 7 when the run published but somebody should look at it.")
    ] = False,
    whole: WholeOption = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
    log_format: LogOption = LogFormat.TEXT,
) -> None:
    """Load what is new, build the tables, check and publish them; of people whom nothing new touches, as last time."""
    has_alarm = _run(config, as_of, memory, log_format, is_whole=whole, quiet=quiet, as_json=as_json)
    if has_alarm and fail_on_alarm:
        raise typer.Exit(ExitCode.ALARM)


def _run(
    config: Path,
    as_of: str | None,
    memory: str | None,
    log_format: LogFormat,
    *,
    quiet: bool,
    as_json: bool,
    is_whole: bool = False,
) -> bool:
    from journeyflow.cli.frames import console
    from journeyflow.cli.reports import print_report
    from journeyflow.runner import run as run_night

    instant = parse_instant(as_of)
    with watched("run", log_format, is_quiet=quiet or as_json) as progress:
        report = run_night(config, as_of=instant, memory_limit=memory, progress=progress, is_whole=is_whole)
    if as_json:
        typer.echo(report.model_dump_json(indent=2))
    elif not quiet:
        print_report(report, console())
    return bool(report.alarms)


def plan(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """List the models of a night in order: what each reads and why it runs."""
    from journeyflow.cli.frames import console
    from journeyflow.cli.reports import print_plan
    from journeyflow.config import load_config
    from journeyflow.runner import plan as plan_night

    print_plan(plan_night(load_config(config)), console())


def status(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Show what is published, who holds the lock, alarms, sizes on the disk, and how the last runs ended."""
    import json

    from journeyflow.cli.frames import console
    from journeyflow.cli.standing import print_status
    from journeyflow.config import load_config
    from journeyflow.status import status_of

    found = status_of(load_config(config))
    if as_json:
        typer.echo(json.dumps(found, indent=2, default=str))
    else:
        print_status(found, console())


def serve(
    cron: Annotated[
        str, typer.Option("--cron", help="When to run, in five fields, in the project's time zone.")
    ] = "0 2 * * *",
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Stay and run every night on this machine, with Prefect."""
    from journeyflow.cli.flows import nightly_module
    from journeyflow.config import load_config

    settings = load_config(config)
    nightly_module().serve_nightly(config.resolve(), cron, settings.timezone)
