"""`status`, `doctor`, `warm-up`, `erase`, `rebuild`, `verify`, `compact` and `quarantine`."""

from __future__ import annotations

import json
import sys
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
from journeyflow.cli.progress import LogFormat, LogOption, ProgressOption, ProgressStyle, shown_progress, watched
from journeyflow.cli.run import AsOfOption, MemoryOption, QuietOption, print_critical_spots, print_report
from journeyflow.errors import ExitCode, InputError, require_known
from journeyflow.utils.formatting import count, duration, escaped, numbered

if TYPE_CHECKING:
    from rich.console import Console

    from journeyflow.erasure.search import FoundRecords
    from journeyflow.operations.erase import ErasurePlan, RequestedId


_STANDARD_INPUT = "-"


def erase(
    config: ConfigOption = DEFAULT_CONFIG,
    user_ids: Annotated[
        list[str] | None,
        typer.Option("--user-id", help="A user_id; may be repeated. Stays in the shell history.", metavar="ID"),
    ] = None,
    anonymous_ids: Annotated[
        list[str] | None,
        typer.Option("--anonymous-id", help="A device's anonymous_id; may be repeated.", metavar="ID"),
    ] = None,
    ids_from: Annotated[
        str | None,
        typer.Option(
            "--ids-from", help="A file with `user:ID` or `device:ID` on each line; - is standard input.", metavar="FILE"
        ),
    ] = None,
    also_similar: Annotated[
        bool, typer.Option("--also-similar", help="Erase ids too that differ only in case or Unicode form.")
    ] = False,
    unknown_ids: Annotated[
        bool,
        typer.Option("--unknown-ids", help="With --yes: also when an id is not known, which may be a word of others."),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be erased, and change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    memory: MemoryOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
    style: ProgressOption = ProgressStyle.AUTO,
) -> None:
    """Erase persons (GDPR) from warehouse, archive, quarantine and published tables; publish without them.

    The scope is the whole person: all of their user_ids, and the devices that no other person uses. Input files are
    listed but never changed; records of erased persons in later files are not stored.
    """
    from journeyflow.config import load_config
    from journeyflow.operations.erase import erase as erase_persons
    from journeyflow.operations.erase import plan_erasure

    if not (user_ids or anonymous_ids or ids_from):
        raise typer.BadParameter("name the persons to erase by --user-id, --anonymous-id or --ids-from")
    settings = load_config(config)
    ids = _ids(user_ids or [], anonymous_ids or [], ids_from)
    with shown_progress(is_quiet=quiet, is_json=as_json, style=style) as progress:
        plan = plan_erasure(settings, ids, progress, memory_limit=memory, also_similar=also_similar)
    if not as_json and not (quiet and yes):
        _print_plan(plan)
    if dry_run or plan.is_done:
        if as_json:
            typer.echo(json.dumps(plan.counts(), indent=2))
        return
    if not yes:
        _confirm(ids_from)
    elif plan.is_doubtful and not unknown_ids:
        raise typer.BadParameter(
            "a given id is in no event and no trait, and archived records hold given ids in other places: a word would "
            "be blanked in the records of others. Nothing was erased. See --dry-run; add --unknown-ids if it is meant"
        )
    with shown_progress(is_quiet=quiet, is_json=as_json, style=style) as progress:
        report = erase_persons(settings, plan, memory_limit=memory, progress=progress).report
    if as_json:
        typer.echo(json.dumps(plan.counts() | {"run_id": report and report.run_id}, indent=2))
    elif not quiet:
        published = f"Published without them: run {report.run_id}." if report else "No person is left to publish."
        typer.echo(f"Erased. {published}")


def _ids(user_ids: list[str], anonymous_ids: list[str], ids_from: str | None) -> list[RequestedId]:
    from journeyflow.operations.erase import RequestedId, read_ids

    ids = [RequestedId("user", each) for each in user_ids] + [RequestedId("device", each) for each in anonymous_ids]
    if ids_from == _STANDARD_INPUT:
        ids += read_ids(sys.stdin)
    elif ids_from is not None:
        try:
            ids += read_ids(Path(ids_from).read_text(encoding="utf-8").splitlines())
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                f"The ids in {ids_from} cannot be read ({type(error).__name__}); give a UTF-8 text file, or - for "
                "standard input."
            ) from error
    return ids


def _confirm(ids_from: str | None) -> None:
    if ids_from == _STANDARD_INPUT or not _is_terminal():
        raise typer.BadParameter("there is no terminal to confirm at, and nothing was erased; confirm with --yes")
    if not typer.confirm("Erase all this? It cannot be undone."):
        typer.echo("Nothing was erased.")
        raise typer.Exit(ExitCode.FAILED)


def _is_terminal() -> bool:
    return sys.stdin.isatty()


def _print_plan(plan: ErasurePlan) -> None:
    """Print counts and files, never an id."""
    if plan.is_done:
        typer.echo("They were erased before, and no record of them has come since.")
    else:
        typer.echo(
            f"{numbered(plan.user_count, 'user_id')} and {numbered(plan.device_count, 'device')} "
            "of the requested persons have"
        )
        typer.echo(
            f"  {numbered(plan.event_count, 'event')}, {numbered(plan.trait_count, 'trait')}, "
            f"{numbered(plan.quarantined_count, 'quarantined row')}"
        )
        if plan.other_count:
            typer.echo(f"    among them {numbered(plan.other_count, 'event')} of other persons on the given devices")
        if plan.unknown_count:
            typer.echo(f"  {numbered(plan.unknown_count, 'given id')} in no event and no trait")
        if plan.is_doubtful:
            typer.echo(
                "  Records of other persons may hold such an id as a word, which would be blanked in the files below."
            )
        if plan.similar_count:
            typer.echo(
                f"  {plan.similar_count:,} other ids differ from them only in case or Unicode form, and stay; "
                "--also-similar erases them too"
            )
        _print_files("file", "with archived records to reduce", plan.copies)
        _print_files("file", "to remove whole: originals, and damaged archived records", plan.dropped)
    _print_files("input file", "with such records, not changed", plan.inputs)


def _print_files(noun: str, what: str, files: tuple[FoundRecords, ...]) -> None:
    if files:
        typer.echo(f"  {numbered(len(files), noun)} {what}:")
    for file in files:
        count = "" if file.record_count is None else f": {numbered(file.record_count, 'record')}"
        more = f", and ids in {numbered(file.named_count, 'record')} of others" if file.named_count else ""
        typer.echo(f"    {escaped(file.source_file)}{count}{more}")


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
    from journeyflow.operations.rebuild import verify as verify_all

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
    from journeyflow.operations.doctor import warm_up as compile_all

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

    from journeyflow.cli.output import rows_format, write_frame
    from journeyflow.config import load_config
    from journeyflow.operations.rebuild import PEOPLE, SPEND, quarantined

    form = rows_format(form, as_json=as_json)
    settings = load_config(config)
    if source is not None:
        require_known("source", source, [*settings.sources, PEOPLE, SPEND])
    found = quarantined(settings, source, reason, with_rows=rows)
    if not found.num_rows and form is Format.TABLE and output is None:
        typer.echo("No record is in quarantine." if source is reason is None else "No such record is in quarantine.")
        return
    frame = pl.DataFrame(found)
    if rows or form is not Format.TABLE or output is not None:
        write_frame(frame, form, output, is_private=rows)
        return
    meanings = [_REASONS.get(each, "see the record") for each in frame["reason"]]
    write_frame(frame.with_columns(pl.Series("meaning", meanings)), form, output)
    typer.echo(
        "The records: journeyflow quarantine list --rows. After a change of settings: journeyflow quarantine replay"
    )


_REASONS = {
    "bad_amount": "the amount is no number",
    "bad_encoding": "bytes that are no text in the encoding of the source",
    "bad_json": "text that should be JSON and is not",
    "bad_received_time": "received_at cannot be read as a time",
    "bad_record": "the record breaks the format, as by a missing cell",
    "bad_sequence": "the sequence is no whole number",
    "bad_time": "the time cannot be read, or is in no known zone",
    "before_floor": "earlier than the earliest plausible time",
    "future": "later than it can have happened; see the clock of the machine",
    "no_channel": "no channel",
    "no_identifier": "no id of a person or device",
    "no_name": "no event name",
    "no_time": "no time",
    "nul_byte": "a zero byte in the text",
    "too_long": "a line, an id or an event name is too long",
}
"""What the reasons of quarantined records mean."""


def replay(config: ConfigOption = DEFAULT_CONFIG, source: SourceOption = None, reason: ReasonOption = None) -> None:
    """Make the next run reload all files of the sources that have such quarantined records."""
    from journeyflow.config import load_config
    from journeyflow.operations.rebuild import replay as replay_rows

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
