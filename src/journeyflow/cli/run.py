"""`demo`, `run`, `plan` and `serve`."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import sys
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated

import typer

from journeyflow.cli.output import DEFAULT_CONFIG, ConfigOption, JsonOption, parse_instant
from journeyflow.cli.progress import LogFormat, LogOption, ProgressOption, ProgressStyle, watched
from journeyflow.errors import ExitCode, InputError
from journeyflow.utils import files
from journeyflow.utils.formatting import count, escaped, numbered

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from rich.console import Console

    from journeyflow.config import Config
    from journeyflow.models import Graph
    from journeyflow.pipeline.partial import SelectedBuild
    from journeyflow.pipeline.run import PlanEntry, RunReport
    from journeyflow.report.view_model import Briefing


AsOfOption = Annotated[
    str | None,
    typer.Option("--as-of", help="Ignore events after this UTC time; a date alone is its 00:00.", metavar="WHEN"),
]


_LEAST_KILOBYTES = 64_000


def _size(text: str | None) -> str | None:
    given = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?([KMGT])i?B", text or "", re.IGNORECASE)
    if text is not None and given is None:
        raise typer.BadParameter("give a number with a unit, such as 4GB or 512MB")
    if given and float(given[1]) * 1000 ** "KMGT".index(given[2].upper()) < _LEAST_KILOBYTES:
        raise typer.BadParameter("give at least 64MB")
    return text


MemoryOption = Annotated[
    str | None,
    typer.Option(
        "--memory",
        help="Memory limit of the database before it spills to disk, e.g. 4GB.",
        metavar="SIZE",
        callback=_size,
    ),
]
SelectOption = Annotated[
    list[str] | None,
    typer.Option(
        "--select",
        "-s",
        help="Only these models, selected as in dbt: +marts.paths, kernel.journeys+2, marts.*; may be repeated.",
        metavar="SELECTOR",
    ),
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]


def demo(
    folder: Annotated[Path, typer.Option("--folder", help="Where to put the sample and its results.")] = Path(
        "journeyflow-demo"
    ),
    quiet: QuietOption = False,
    style: ProgressOption = ProgressStyle.AUTO,
) -> None:
    """Run everything on a small invented shop and show the result."""
    from journeyflow.config import load_config

    config = prepare_demo(folder)
    if not quiet:
        typer.echo(f"An invented shop in {folder}/: about 5,000 people over 180 days. Running the pipeline on it;")
        typer.echo("the first run on a machine also compiles the kernel, which takes up to a minute ...")
    _run(config, None, None, LogFormat.TEXT, style, quiet=quiet, as_json=False)
    if not quiet:
        _print_showcase(load_config(config), folder)


def run(
    config: ConfigOption = DEFAULT_CONFIG,
    full_refresh: Annotated[
        bool, typer.Option("--full-refresh", help="Build every table from scratch instead of incrementally.")
    ] = False,
    as_of: AsOfOption = None,
    select: SelectOption = None,
    publish: Annotated[bool, typer.Option("--publish", help="With --select: publish the result.")] = False,
    memory: MemoryOption = None,
    fail_on_alert: Annotated[
        bool, typer.Option("--fail-on-alert", help="Exit with 7 when the run published and raised an alert.")
    ] = False,
    fail_on_refusal: Annotated[
        bool, typer.Option("--fail-on-refusal", help="Exit with 9 when the run published and refused a file.")
    ] = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
    log_format: LogOption = LogFormat.TEXT,
    style: ProgressOption = ProgressStyle.AUTO,
    # The former names of the two options:
    old_full_refresh: Annotated[bool, typer.Option("--whole", hidden=True)] = False,
    old_fail_on_alert: Annotated[bool, typer.Option("--fail-on-alarm", hidden=True)] = False,
) -> None:
    """Load new files, build, test and publish. Incremental unless --full-refresh.

    With --select, build and test only the selected models from what the last run loaded.
    """
    full_refresh |= old_full_refresh
    fail_on_alert |= old_fail_on_alert
    if select:
        refused = {"--full-refresh": full_refresh, "--as-of": as_of, "--fail-on-alert": fail_on_alert}
        refused |= {"--fail-on-refusal": fail_on_refusal}
        if given := [name for name, value in refused.items() if value]:
            raise typer.BadParameter(f"{' and '.join(given)} cannot be combined with --select.")
        _run_selected(config, select, memory, log_format, style, publish=publish, quiet=quiet, as_json=as_json)
        return
    if publish:
        raise typer.BadParameter("--publish belongs to --select; a run of all models always publishes.")
    report = _run(config, as_of, memory, log_format, style, quiet=quiet, as_json=as_json, full_refresh=full_refresh)
    if report.empty_maps:
        raise typer.Exit(ExitCode.EMPTY_MAP)
    if report.refused_file_count and fail_on_refusal:
        raise typer.Exit(ExitCode.REFUSED)
    if report.alerts and fail_on_alert:
        raise typer.Exit(ExitCode.ALERT)


def plan(
    config: ConfigOption = DEFAULT_CONFIG,
    select: SelectOption = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="List every model, why it runs and what it reads.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what a run would build: phases, numbers of models, and the user-defined models."""
    from journeyflow.cli.output import console
    from journeyflow.config import load_config
    from journeyflow.pipeline.run import plan as plan_run
    from journeyflow.state.paths import graph_of

    settings = load_config(config)
    graph, entries = graph_of(settings), plan_run(settings)
    if select:
        selected = graph.select(select)
        entries = tuple(entry for entry in entries if entry.model in selected)
    if as_json:
        typer.echo(json.dumps([asdict(entry) | {"is_own": graph[entry.model].is_own} for entry in entries], indent=2))
    elif verbose or select:
        print_plan(entries, console(), is_verbose=verbose)
    else:
        print_plan_summary(settings, graph, entries, console())


def serve(
    cron: Annotated[
        str, typer.Option("--cron", help="When to run, in five fields, in the project's time zone.")
    ] = "0 2 * * *",
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Stay in the foreground and run on a schedule, with Prefect, until Ctrl-C. Uses a server of its own, or yours."""
    from journeyflow.config import load_config

    load_config(config)
    try:
        nightly_module().serve_nightly(config.resolve(), cron, typer.echo)
    except InputError as error:
        if not error.message.startswith("--cron"):
            raise
        raise typer.BadParameter(error.message) from error


def nightly_module() -> ModuleType:
    """Import `pipelines/nightly.py`."""
    folder = str(files.pipelines_folder())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        return importlib.import_module("nightly")
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] != "prefect":
            raise
        raise InputError("`serve` needs Prefect, which is not installed: pip install 'prefect>=3.8,<4'") from error


def _run(
    config: Path,
    as_of: str | None,
    memory: str | None,
    log_format: LogFormat,
    style: ProgressStyle,
    *,
    quiet: bool,
    as_json: bool,
    full_refresh: bool = False,
) -> RunReport:
    """Run all models, print the report and return it."""
    from journeyflow.cli.output import console
    from journeyflow.pipeline.run import run as run_pipeline

    instant = parse_instant(as_of)
    with watched("run", log_format, is_quiet=quiet, is_json=as_json, style=style) as progress:
        report = run_pipeline(config, as_of=instant, memory_limit=memory, progress=progress, full_refresh=full_refresh)
    if as_json:
        typer.echo(report.model_dump_json(indent=2))
    elif not quiet:
        print_report(report, console())
    return report


def _run_selected(
    config: Path,
    select: Sequence[str],
    memory: str | None,
    log_format: LogFormat,
    style: ProgressStyle,
    *,
    publish: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    from journeyflow.cli.output import console
    from journeyflow.config import load_config
    from journeyflow.pipeline.partial import build

    settings = load_config(config)
    with watched("run", log_format, is_quiet=quiet, is_json=as_json, style=style) as progress:
        built = build(settings, tuple(select), publish=publish, memory_limit=memory, progress=progress)
    if as_json:
        typer.echo(json.dumps(asdict(built), indent=2, default=str))
    elif not quiet:
        print_selected(built, console())


def print_report(report: RunReport, out: Console) -> None:
    """Print a summary of a run: the briefing first, then what was read, built and checked."""
    from rich.text import Text

    print_briefing(report.briefing, out)
    seconds = report.elapsed_seconds
    rate = f", {report.event_count / seconds:,.0f} events/s" if seconds else ""
    out.print(Text(f"Published {escaped(report.run_id)} in {seconds:.1f} s{rate}"), style="bold")
    for label, line in (
        ("read", _records(report)),
        ("events", f"{count(report.event_count)} up to {report.high_water_at:%Y-%m-%d %H:%M:%S} UTC"),
        ("phases", ", ".join(f"{phase} {spent:.1f} s" for phase, spent in report.phase_seconds.items())),
        ("built", report.built),
        ("checks", f"{count(report.check_count)}, all passed"),
        ("tables", f"{len(report.table_rows)} in {report.generation}"),
        *(("page", str(report.generation / name)) for name in report.files if name.endswith(".html")),
    ):
        out.print(Text(f"  {label:<8}{line}"))
    for sentence in report.empty_maps:
        out.print(Text(f"  empty   {escaped(sentence)}"), style="bold red")
    for alert in report.alerts:
        out.print(Text(f"  alert   {escaped(alert)}"), style="yellow")
    for warning in report.warnings[:MOST_WARNINGS]:
        out.print(Text(f"  warning {escaped(warning)}"), style="yellow")
    if (rest := len(report.warnings) - MOST_WARNINGS) > 0:
        out.print(Text(f"          {rest} more in the table blind_spots"), style="yellow")


def print_briefing(briefing: Briefing, out: Console) -> None:
    """Print the first screen: who, where, what hurts and what to do, what cannot be seen."""
    from rich.text import Text

    from journeyflow.cli.output import print_hanging
    from journeyflow.report.formatting import CHANGES

    rows = [(name, Text(text)) for name, text in (("Who", briefing.people), ("Where", briefing.stages)) if text]
    for part in briefing.parts:
        if part.lines:
            rows.append(("", Text(f"{part.title}:", style="dim")))
        for number, line in enumerate(part.lines, part.start):
            sentence = Text(line.headline, style="dim" if line.kind == "gone" else "bold")
            if change := CHANGES.get(line.change):
                sentence.append(f" [{change}]", style="yellow")
            if line.action:
                owner = f" to {line.owner}" if line.owner and line.owner not in line.headline else ""
                sentence.append(f" Suggested{owner}: {line.action}", style="default not bold")
            rows.append((str(number), sentence))
    if briefing.blind_spots:
        rows.append(("?", Text(briefing.blind_spots, style="yellow")))
    for name, text in rows:
        print_hanging(name, text, out, width=len("Where"))
    if rows:
        out.print()


MOST_WARNINGS = 5
"""Warnings that the summary of a run prints; the table `blind_spots` has all of them."""


def print_critical_spots(spots: Sequence[str], out: Console, printed: Collection[str] = (), most: int = 3) -> None:
    """Print the number of critical blind spots and the first `most` of them that are not in `printed`."""
    from rich.text import Text

    if spots:
        out.print(Text(f"  blind   {len(spots)} critical in the table blind_spots"), style="yellow")
    for spot in [spot for spot in spots if spot not in printed][:most]:
        out.print(Text(f"          {escaped(spot)}"), style="yellow")


_OUTCOMES = ("quarantined", "duplicate", "filtered", "erased")


def _records(report: RunReport) -> str:
    """Return the number of records of the new files, by outcome."""
    if not report.record_count:
        return "no new file"
    counts = {name: getattr(report, f"{name}_count") for name in _OUTCOMES}
    others = [f"{count(number)} {name}" for name, number in counts.items() if number]
    return ", ".join([f"{count(report.record_count)} new records", f"{count(report.accepted_count)} accepted", *others])


def print_selected(built: SelectedBuild, out: Console) -> None:
    """Print a summary of a run of selected models."""
    from rich.text import Text

    out.print(Text(f"Built {numbered(len(built.models), 'model')} in {built.seconds:.1f} s"), style="bold")
    for model in built.models:
        rows = f"{count(built.preview[model]):>12} rows" if model in built.preview else ""
        out.print(Text(f"  {escaped(model):<40}{rows}".rstrip()), soft_wrap=True)
    out.print(Text(f"  checks  {count(built.check_count)}, all passed"))
    if built.published is None:
        table = next((model for model in reversed(built.models) if model in built.preview), built.models[-1])
        out.print(Text("Nothing was published; --publish does so. Read the tables with:"), style="yellow")
        out.print(Text(f'  journeyflow query --selected "from {escaped(table)}"'))
    else:
        out.print(Text(f"Published in {built.published}"))


def print_plan(entries: Sequence[PlanEntry], out: Console, *, is_verbose: bool) -> None:
    """Print models in the order of a run, by phase; with `is_verbose` also why each runs and what it reads."""
    from itertools import groupby

    from rich.text import Text

    width = max((len(entry.model) for entry in entries), default=0)
    for phase, group in groupby(entries, key=lambda entry: entry.phase):
        out.print(Text(str(phase)), style="bold")
        for entry in group:
            why = entry.why if is_verbose else ""
            out.print(Text(f"  {entry.model:<{width}}  {why}".rstrip()), soft_wrap=True)
            if is_verbose and entry.reads:
                out.print(Text(f"  {'':<{width}}  <- {', '.join(entry.reads)}"), style="dim", soft_wrap=True)


_PHASES = {
    "load": "new files into raw events; configuration tables",
    "stitch": "identities and persons",
    "classify": "sessions, journeys, stages and funnels",
    "build": "statistics, marts and insights",
}


def print_plan_summary(config: Config, graph: Graph, entries: Sequence[PlanEntry], out: Console) -> None:
    """Print the phases of a run with their numbers of models, and the user-defined models by name."""
    from collections import Counter

    from rich.text import Text

    published = len(graph.published())
    out.print(
        Text(f"{numbered(len(entries), 'model')} in {config.folder}, {published} of them published"), style="bold"
    )
    for phase, number in Counter(str(entry.phase) for entry in entries).items():
        out.print(Text(f"  {phase:<10}{numbered(number, 'model'):>12}   {_PHASES.get(phase, '')}"))
    out.print(Text(f"  {'check':<10}{'':>12}   the checks of all models; a failure publishes nothing"))
    out.print(Text(f"  {'publish':<10}{numbered(published, 'table'):>12}   and the page"))
    own = [model for model in graph if model.is_own]
    out.print(Text(f"User-defined models: {len(own) or 'none'}"))
    for model in own:
        out.print(Text(f"  {escaped(model.name)}   {escaped(model.path.relative_to(config.folder))}"), soft_wrap=True)
    out.print("Incremental or full refresh is decided when the run has loaded the new files;")
    out.print("`journeyflow run --full-refresh` asks for the latter. List the models with --verbose or --select.")


def prepare_demo(folder: Path) -> Path:
    """Copy the sample into `folder`, unless an earlier demo did; return the path of its configuration."""
    sample = files.sample_folder()
    config = folder / "journeyflow.yml"
    if folder.exists() and any(folder.iterdir()):
        if config.is_file() and config.read_bytes() == (sample / "journeyflow.yml").read_bytes():
            return config
        raise InputError(f"{folder} is not empty. Name another folder with --folder.")
    shutil.copytree(sample, folder, ignore=_NOT_COPIED, dirs_exist_ok=True)
    return config


_NOT_COPIED = shutil.ignore_patterns("state", "published", "__pycache__", "*.py", "*.duckdb")


def _print_showcase(config: Config, folder: Path) -> None:
    """Print the first funnel of the sample, by persona and with its drop-offs, and what to type next."""
    from rich.text import Text

    from journeyflow.cli.output import console, open_marts
    from journeyflow.cli.query import (
        matching,
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
    out.print(Text(_NEXT.format(folder=folder, funnel=name, command=command_name())))


def command_name() -> str:
    """Return what to type to call the program again from another folder."""
    program = Path(sys.argv[0]).absolute()
    if shutil.which("journeyflow"):
        return "journeyflow"
    return "python -m journeyflow" if program.name == "__main__.py" else str(program)


_NEXT = """
The journey map, for a browser: {folder}/published/current/map.html

Next:
  cd {folder}
  {command} opportunities                 # what to fix, and what it costs
  {command} explain opportunity 1         # what the first one rests on
  {command} report --format md            # the map as a message
  {command} funnel                        # every funnel there is
  {command} funnel {funnel} --persona student
  {command} drop-offs {funnel}
  {command} query "select * from paths where model = 'four_stage'"
and on your own data: {command} init your-events.csv"""
