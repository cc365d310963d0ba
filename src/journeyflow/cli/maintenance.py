"""`status`, `doctor`, `rebuild`, `verify`, `compact` and `quarantine`."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from journeyflow.cli.output import (
    DEFAULT_CONFIG,
    ConfigOption,
    Format,
    JsonOption,
    RowsJsonOption,
    parse_instant,
    print_whole,
)
from journeyflow.cli.progress import LogFormat, LogOption, ProgressOption, ProgressStyle, watched
from journeyflow.cli.run import AsOfOption, MemoryOption, QuietOption, print_critical_spots, print_report
from journeyflow.errors import ExitCode, require_known
from journeyflow.utils.formatting import count, duration, escaped, numbered

if TYPE_CHECKING:
    from rich.console import Console


SourceOption = Annotated[str | None, typer.Option("--source", help="Only records of this source.", show_default=False)]
ReasonOption = Annotated[
    str | None, typer.Option("--reason", help="Only records with this reason, e.g. future.", show_default=False)
]
_MEBIBYTE = 1 << 20


def status(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Show the published version, the run in progress, alerts, disk usage, and how the last runs ended."""
    from journeyflow.cli.output import console
    from journeyflow.operations.status import status_of
    from journeyflow.state.paths import folders_of

    found = status_of(folders_of(config))
    if as_json:
        typer.echo(json.dumps(found, indent=2, default=str))
    else:
        print_status(found, console())


def doctor(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Check the installation, the warehouse, the published files, permissions and free space. Read-only."""
    from rich.text import Text

    from journeyflow.cli.output import console
    from journeyflow.config import load_config
    from journeyflow.operations.doctor import examine

    findings = examine(load_config(config))
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        styles = {"ok": "green", "warning": "yellow", "error": "red"}
        out = console()
        for finding in findings:
            line = Text(f"{finding.severity:<8}", style=styles[finding.severity])
            out.print(line.append(escaped(f"{finding.subject}: {finding.detail}"), style="default"), soft_wrap=True)
    if any(finding.severity == "error" for finding in findings):
        raise typer.Exit(ExitCode.FAILED)


def rebuild(
    config: ConfigOption = DEFAULT_CONFIG,
    as_of: AsOfOption = None,
    memory: MemoryOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
    log_format: LogOption = LogFormat.TEXT,
    style: ProgressOption = ProgressStyle.AUTO,
) -> None:
    """Rebuild the warehouse and every table from the archived records, and publish. New files wait for the next run."""
    from journeyflow.cli.output import console
    from journeyflow.config import load_config
    from journeyflow.operations.rebuild import rebuild as rebuild_all

    instant = parse_instant(as_of)
    with watched("rebuild", log_format, is_quiet=quiet, is_json=as_json, style=style) as progress:
        report = rebuild_all(load_config(config), as_of=instant, memory_limit=memory, progress=progress)
    if as_json:
        typer.echo(report.model_dump_json(indent=2))
    elif not quiet:
        print_report(report, console())


def verify(
    config: ConfigOption = DEFAULT_CONFIG,
    memory: MemoryOption = None,
    as_json: JsonOption = False,
    log_format: LogOption = LogFormat.TEXT,
    style: ProgressOption = ProgressStyle.AUTO,
) -> None:
    """Compare the published tables with a rebuild from the archived records. Exit with 8 at the first difference."""
    from journeyflow.config import load_config
    from journeyflow.operations.verify import verify as verify_all

    with watched("verify", log_format, is_quiet=False, is_json=as_json, style=style) as progress:
        found = verify_all(load_config(config), memory_limit=memory, progress=progress)
    if as_json:
        typer.echo(json.dumps(asdict(found)))
    else:
        typer.echo(f"{len(found.tables)} tables of {found.run_id}, {found.row_count:,} rows: identical to a rebuild.")
        left_out = ", ".join(found.not_compared)
        typer.echo(f"Not compared, as they depend on how files arrived or on earlier runs: {left_out}.")


def warm_up(quiet: QuietOption = False, log_format: LogOption = LogFormat.TEXT) -> None:
    """Compile the kernel, once per machine, so that no run has to; for container images."""
    from journeyflow.operations.warm_up import warm_up as compile_all

    with watched("warm-up", log_format, is_quiet=quiet) as progress:
        compile_all(progress)
    if not quiet:
        typer.echo("The kernel is compiled.")


def compact(
    config: ConfigOption = DEFAULT_CONFIG,
    memory: MemoryOption = None,
    quiet: QuietOption = False,
    log_format: LogOption = LogFormat.TEXT,
    style: ProgressOption = ProgressStyle.AUTO,
) -> None:
    """Shrink the warehouse file by rewriting it without free space. Runs do so when half of the file is free."""
    from journeyflow.config import load_config
    from journeyflow.state.warehouse import compact as compact_warehouse

    with watched("compact", log_format, is_quiet=quiet, style=style) as progress:
        done = compact_warehouse(load_config(config), memory_limit=memory, progress=progress)
    if not quiet:
        before, after = (f"{size / _MEBIBYTE:,.1f} MiB" for size in (done.bytes_before, done.bytes_after))
        typer.echo(f"The size of the warehouse is {after}; it was {before}.")


def list_rows(
    config: ConfigOption = DEFAULT_CONFIG,
    source: SourceOption = None,
    reason: ReasonOption = None,
    rows: Annotated[
        bool,
        typer.Option(
            "--rows", help="List the records, not counts; they hold personal data, so the file is for you only."
        ),
    ] = False,
    form: Annotated[Format, typer.Option("--format", "-f", help="How to write the rows.")] = Format.TABLE,
    as_json: RowsJsonOption = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write; else the terminal.")] = None,
) -> None:
    """Count the quarantined records by file and reason, or list them."""
    import polars as pl

    from journeyflow.cli.output import write_frame
    from journeyflow.config import load_config
    from journeyflow.ingest.quarantine import PEOPLE, SPEND, quarantined

    form = Format.JSON if as_json else form
    settings = load_config(config)
    if source is not None:
        require_known("source", source, [*settings.sources, PEOPLE, SPEND])
    found = quarantined(settings, source, reason, with_rows=rows)
    if not found.num_rows and form is Format.TABLE and output is None:
        typer.echo("No record is in quarantine." if source is reason is None else "No such record is in quarantine.")
        return
    write_frame(pl.DataFrame(found), form, output, is_private=rows)


def replay(config: ConfigOption = DEFAULT_CONFIG, source: SourceOption = None, reason: ReasonOption = None) -> None:
    """Make the next run reload all files of the sources that have such quarantined records."""
    from journeyflow.config import load_config
    from journeyflow.ingest.quarantine import replay as replay_rows

    for each in replay_rows(load_config(config), source, reason):
        typer.echo(
            f"{each.source}: {numbered(each.row_count, 'record')} in quarantine, "
            f"{numbered(each.file_count, 'file')} to read again"
        )
    typer.echo("Next: journeyflow run")


def print_status(status: dict[str, Any], out: Console) -> None:
    """Print what `journeyflow.operations.status.status_of` returns."""
    from rich.text import Text

    current, running = status["current"], status["running"]
    if current is None:
        out.print("Nothing is published yet. Run `journeyflow run` first.")
    else:
        age = datetime.now(UTC).replace(tzinfo=None) - datetime.fromisoformat(current["published_at"])
        out.print(Text(f"Published {current['run_id']}, {duration(age.total_seconds())} ago"), style="bold")
        out.print(
            Text(f"  events  {count(current['event_count'])} up to {current['high_water_at'].replace('T', ' ')} UTC")
        )
        out.print(Text(f"  tables  {current['table_count']} in {current['folder']}"))
    out.print(Text(f"  disk    {_sizes(status['sizes'])}"))
    if failure := status["failure"]:
        out.print(Text(f"The last run, {failure['run_id']}, failed: {escaped(failure['detail'])}"), style="red")
    for alert in status["alerts"]:
        out.print(Text(f"  alert   {escaped(alert['detail'])}"), style="yellow")
    if current is not None:
        print_critical_spots(current["critical_spots"], out, {alert["detail"] for alert in status["alerts"]})
    if running:
        where = f", on {escaped(running['host'])}" if running["host"] else ""
        who = f": process {running['pid']}, since {running['started_at']}{where}" if running["pid"] else ""
        out.print(Text(f"A run is in progress{who}"), style="yellow")
    else:
        out.print(Text("  lock    free: no run is in progress"))
    _print_runs(status["runs"], out)


def _sizes(sizes: dict[str, int]) -> str:
    parts = (
        ("warehouse", sizes["warehouse_bytes"]),
        ("last build", sizes["build_bytes"]),
        (f"{count(sizes['kept_count'])} archived files", sizes["kept_bytes"]),
        (numbered(sizes["generation_count"], "generation"), sizes["generations_bytes"]),
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
        alerts = row.get("alarm_count")  # Tables of older versions lack the column.
        table.add_row(
            row["run_id"],
            row["status"],
            count(alerts),
            count(row["event_count"]),
            duration(row["elapsed_seconds"]),
            f"{row['high_water_at']:%Y-%m-%d %H:%M}" if row["high_water_at"] else "-",
            style="red" if row["status"] == "failed" else "yellow" if alerts else None,
        )
    print_whole(table, out)
