"""`demo`, `run`, `plan`, `status` and `serve`."""

from __future__ import annotations

import importlib
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from journeyflow.cli.output import DEFAULT_CONFIG, ConfigOption, JsonOption, examples, parse_instant
from journeyflow.cli.progress import LogFormat, LogOption, watched
from journeyflow.errors import ExitCode, InputError
from journeyflow.utils import files
from journeyflow.utils.formatting import count, duration, escaped

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from rich.console import Console

    from journeyflow.config import Config
    from journeyflow.pipeline.run import PlanEntry, RunReport


OUTCOMES = ("quarantined", "duplicate", "filtered", "erased")


def print_report(report: RunReport, out: Console) -> None:
    """Print what a night did, in a few lines."""
    from rich.text import Text

    seconds = report.elapsed_seconds
    rate = f", {report.event_count / seconds:,.0f} events/s" if seconds else ""
    out.print(Text(f"Published {escaped(report.run_id)} in {seconds:.1f} s{rate}"), style="bold")
    for label, line in (
        ("read", _records(report)),
        ("events", f"{count(report.event_count)} up to {report.high_water_at:%Y-%m-%d %H:%M:%S} UTC"),
        ("phases", ", ".join(f"{phase} {spent:.1f} s" for phase, spent in report.phase_seconds.items())),
        ("built", report.built),
        ("checks", f"{count(report.check_count)}, all held"),
        ("tables", f"{len(report.table_rows)} in {report.generation}"),
        *(("page", str(report.generation / name)) for name in report.files),
    ):
        out.print(Text(f"  {label:<8}{line}"))
    for alert in report.alerts:
        out.print(Text(f"  look at  {escaped(alert)}"), style="yellow")
    print_critical_spots(report.critical_spots, out, report.alerts)


def print_critical_spots(spots: Sequence[str], out: Console, told: Collection[str] = (), most: int = 3) -> None:
    """Print how many critical blind spots there are, and the first of those that were not told yet."""
    from rich.text import Text

    if spots:
        out.print(Text(f"  blind   {len(spots)} critical in the table blind_spots"), style="yellow")
    for spot in [spot for spot in spots if spot not in told][:most]:
        out.print(Text(f"          {escaped(spot)}"), style="yellow")


def _records(report: RunReport) -> str:
    """Return what became of the records that this run read."""
    if not report.record_count:
        return "no new file"
    others = [
        f"{count(getattr(report, f'{name}_count'))} {name}" for name in OUTCOMES if getattr(report, f"{name}_count")
    ]
    return ", ".join([f"{count(report.record_count)} new records", f"{count(report.accepted_count)} accepted", *others])


def print_plan(entries: Sequence[PlanEntry], out: Console) -> None:
    """Print the models of a night in order, by phase: why each runs and what it reads."""
    from itertools import groupby

    from rich.text import Text

    width = max((len(entry.model) for entry in entries), default=0)
    for phase, group in groupby(entries, key=lambda entry: entry.phase):
        out.print(Text(str(phase)), style="bold")
        for entry in group:
            out.print(Text(f"  {entry.model:<{width}}  {entry.why}"), soft_wrap=True)
            if entry.reads:
                out.print(Text(f"  {'':<{width}}  <- {', '.join(entry.reads)}"), style="dim", soft_wrap=True)


_MEBIBYTE = 1 << 20


def print_status(status: dict[str, Any], out: Console) -> None:
    """Print what `status.status_of` found."""
    from rich.text import Text

    current, running = status["current"], status["running"]
    if current is None:
        out.print("Nothing is published yet. Run `journeyflow run` first.")
    else:
        age = duration(
            (datetime.now(UTC).replace(tzinfo=None) - datetime.fromisoformat(current["published_at"])).total_seconds()
        )
        out.print(Text(f"Published {current['run_id']}, {age} ago"), style="bold")
        out.print(
            Text(f"  events  {count(current['event_count'])} up to {current['high_water_at'].replace('T', ' ')} UTC")
        )
        out.print(Text(f"  tables  {current['table_count']} in {current['folder']}"))
    out.print(Text(f"  disk    {_sizes(status['sizes'])}"))
    for alert in status["alerts"]:
        out.print(Text(f"  look at {escaped(alert['detail'])}"), style="yellow")
    if current is not None:
        print_critical_spots(current["critical_spots"], out, {alert["detail"] for alert in status["alerts"]})
    if running:
        where = f", on {escaped(running['host'])}" if running["host"] else ""
        who = f": process {running['pid']}, since {running['started_at']}{where}" if running["pid"] else ""
        out.print(Text(f"A run is going on{who}"), style="yellow")
    else:
        out.print(Text("  lock    free: no run is going on"))
    _print_runs(status["runs"], out)


def _sizes(sizes: dict[str, int]) -> str:
    parts = (
        ("warehouse", sizes["warehouse_bytes"]),
        ("last build", sizes["build_bytes"]),
        (f"{count(sizes['kept_count'])} kept files", sizes["kept_bytes"]),
        (f"{count(sizes['generation_count'])} generations", sizes["generations_bytes"]),
    )
    return ", ".join(f"{name} {size / _MEBIBYTE:,.1f} MiB" for name, size in parts)


def _print_runs(runs: list[dict[str, Any]], out: Console, most: int = 5) -> None:
    from rich import box
    from rich.table import Table

    if not runs:
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, title=None)
    for title in ("run", "status"):
        table.add_column(title)
    for title in ("alerts", "events", "took", "events up to"):
        table.add_column(title, justify="right")
    for row in runs[:most]:
        alerts = row.get("alarm_count")  # A table of an older version has no such column.
        table.add_row(
            row["run_id"],
            row["status"],
            count(alerts),
            count(row["event_count"]),
            duration(row["elapsed_seconds"]),
            f"{row['high_water_at']:%Y-%m-%d %H:%M}" if row["high_water_at"] else "-",
            style="red" if row["status"] == "failed" else "yellow" if alerts else None,
        )
    out.print(table)


def nightly_module() -> ModuleType:
    """Return `pipelines/nightly.py` as a module.

    Raises
    ------
    InputError
        When Prefect is not installed.
    """
    folder = str(files.pipelines_folder())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        return importlib.import_module("nightly")
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] != "prefect":
            raise
        raise InputError("`serve` needs Prefect, which is not installed: pip install 'prefect>=3.8,<4'") from error


NOT_COPIED = shutil.ignore_patterns("state", "published", "__pycache__", "*.py", "*.duckdb")


def prepare_demo(folder: Path) -> Path:
    """Copy the sample into `folder`, or find it there from an earlier demo.

    Returns
    -------
    Path
        The configuration to run.

    Raises
    ------
    InputError
        When the folder holds something else.
    """
    sample = files.sample_folder()
    config = folder / "journeyflow.yml"
    if folder.exists() and any(folder.iterdir()):
        if config.is_file() and config.read_bytes() == (sample / "journeyflow.yml").read_bytes():
            return config
        raise InputError(f"{folder} is not empty. Name another folder with --folder.")
    shutil.copytree(sample, folder, ignore=NOT_COPIED, dirs_exist_ok=True)
    return config


def print_showcase(config: Config, folder: Path) -> None:
    """Print what the sample shows: a funnel, who goes through it, where they leave, and what to ask next."""
    from rich.text import Text

    from journeyflow.cli.output import console
    from journeyflow.cli.query import (
        matching,
        open_marts,
        personas_of,
        print_drop_offs,
        print_funnel,
        print_personas,
        steps_of,
    )

    out, name = console(), next(iter(config.funnels))
    with open_marts(folder, config.publish) as marts:
        steps = steps_of(marts, name, "all", "all")
        worst = max(steps.head(-1).to_dicts(), key=lambda row: row["drop_off_count"])
        out.print()
        print_funnel(steps, out)
        out.print()
        print_personas(personas_of(marts, name), out)
        tables = [matching(marts, table, name, "all", "all") for table in ("drop_offs", "drop_off_next")]
        print_drop_offs(worst, *tables, top=5, out=out)
    out.print(Text(_NEXT.format(folder=folder, funnel=name, command=_command())))


def _command() -> str:
    """Return what to type for `journeyflow`: where it is not on the PATH, its place."""
    return "journeyflow" if shutil.which("journeyflow") else str(Path(sys.argv[0]).absolute())


_NEXT = """
The journey map, for a browser: {folder}/published/current/map.html

Next:
  cd {folder}
  {command} report --format md            # the same as a message
  {command} funnel                        # every funnel there is
  {command} funnel {funnel} --persona student
  {command} drop-offs {funnel}
  {command} query "select * from paths where model = 'four_stage'"
and on your own data: {command} init your-events.csv"""


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
    fail_on_alert: Annotated[
        bool, typer.Option("--fail-on-alert", help="Exit with 7 when the run published but somebody should look at it.")
    ] = False,
    whole: WholeOption = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
    log_format: LogOption = LogFormat.TEXT,
) -> None:
    """Load what is new, build the tables, check and publish them; of people whom nothing new touches, as last time."""
    has_alert = _run(config, as_of, memory, log_format, full_refresh=whole, quiet=quiet, as_json=as_json)
    if has_alert and fail_on_alert:
        raise typer.Exit(ExitCode.ALERT)


def _run(
    config: Path,
    as_of: str | None,
    memory: str | None,
    log_format: LogFormat,
    *,
    quiet: bool,
    as_json: bool,
    full_refresh: bool = False,
) -> bool:
    from journeyflow.cli.output import console
    from journeyflow.pipeline.run import run as run_night

    instant = parse_instant(as_of)
    with watched("run", log_format, is_quiet=quiet or as_json) as progress:
        report = run_night(config, as_of=instant, memory_limit=memory, progress=progress, full_refresh=full_refresh)
    if as_json:
        typer.echo(report.model_dump_json(indent=2))
    elif not quiet:
        print_report(report, console())
    return bool(report.alerts)


def plan(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """List the models of a night in order: what each reads and why it runs."""
    from journeyflow.cli.output import console
    from journeyflow.config import load_config
    from journeyflow.pipeline.run import plan as plan_night

    print_plan(plan_night(load_config(config)), console())


def status(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Show what is published, who holds the lock, alerts, sizes on the disk, and how the last runs ended."""
    import json

    from journeyflow.cli.output import console
    from journeyflow.config import load_config
    from journeyflow.operations.status import status_of

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

    from journeyflow.config import load_config

    settings = load_config(config)
    nightly_module().serve_nightly(config.resolve(), cron, settings.timezone)
