"""`doctor`, `rebuild`, `verify`, `compact`, `quarantine` and `erase`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from journeyflow.cli.output import DEFAULT_CONFIG, ConfigOption, Format, JsonOption, examples, parse_instant
from journeyflow.cli.progress import LogFormat, LogOption, watched
from journeyflow.cli.run import AsOfOption, MemoryOption, QuietOption
from journeyflow.errors import ExitCode, InputError

if TYPE_CHECKING:
    from journeyflow.erasure.search import FoundRecords
    from journeyflow.operations.erase import ErasurePlan, RequestedId


keepers = typer.Typer(no_args_is_help=True, help="See the records that were kept aside, and try them again.")

SourceOption = Annotated[str | None, typer.Option("--source", help="Only of this source.", show_default=False)]
ReasonOption = Annotated[str | None, typer.Option("--reason", help="Only for this reason.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the commands of this module to `app`."""
    app.command(epilog=examples("journeyflow doctor", "journeyflow doctor --json"))(doctor)
    app.command(epilog=examples("journeyflow rebuild", "journeyflow rebuild --as-of 2026-03-31"))(rebuild)
    app.command(epilog=examples("journeyflow verify", "journeyflow verify --json"))(verify)
    app.command(epilog=examples("journeyflow compact"))(compact)
    keepers.command(
        "list",
        epilog=examples(
            "journeyflow quarantine list", "journeyflow quarantine list --source web --rows --format csv -o rows.csv"
        ),
    )(list_rows)
    keepers.command(
        "replay", epilog=examples("journeyflow quarantine replay", "journeyflow quarantine replay --source web")
    )(replay)
    app.add_typer(keepers, name="quarantine")


def doctor(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Examine the installation, the warehouse, what is published, permissions and free space; nothing is changed."""
    from dataclasses import asdict

    from rich.text import Text

    from journeyflow.cli.output import console
    from journeyflow.config import load_config
    from journeyflow.operations.doctor import examine
    from journeyflow.utils.formatting import escaped

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
) -> None:
    """Make the warehouse and every table anew from the kept files, and publish; new files wait for the next run."""
    from journeyflow.cli.output import console
    from journeyflow.cli.run import print_report
    from journeyflow.config import load_config
    from journeyflow.operations.rebuild import rebuild as rebuild_all

    instant = parse_instant(as_of)
    with watched("rebuild", log_format, is_quiet=quiet or as_json) as progress:
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
) -> None:
    """Rebuild what is published in a scratch folder and compare every table; exit with 8 at the first difference."""
    from dataclasses import asdict

    from journeyflow.config import load_config
    from journeyflow.operations.verify import verify as verify_all

    with watched("verify", log_format, is_quiet=as_json) as progress:
        found = verify_all(load_config(config), memory_limit=memory, progress=progress)
    if as_json:
        typer.echo(json.dumps(asdict(found)))
    else:
        typer.echo(f"{len(found.tables)} tables of {found.run_id}, {found.row_count:,} rows: a rebuild gives the same.")


def compact(
    config: ConfigOption = DEFAULT_CONFIG,
    memory: MemoryOption = None,
    quiet: QuietOption = False,
    log_format: LogOption = LogFormat.TEXT,
) -> None:
    """Write the warehouse anew without the room of what was deleted; a night does so when half of it is free."""
    from journeyflow.config import load_config
    from journeyflow.state.warehouse import compact as compact_warehouse

    with watched("compact", log_format, is_quiet=quiet) as progress:
        done = compact_warehouse(load_config(config), memory_limit=memory, progress=progress)
    if not quiet:
        typer.echo(
            f"The warehouse takes {done.bytes_after / 2**20:,.1f} MiB; it took {done.bytes_before / 2**20:,.1f}."
        )


def list_rows(
    config: ConfigOption = DEFAULT_CONFIG,
    source: SourceOption = None,
    reason: ReasonOption = None,
    rows: Annotated[bool, typer.Option("--rows", help="The records themselves; they hold personal data.")] = False,
    form: Annotated[Format, typer.Option("--format", "-f", help="How to write it.")] = Format.TABLE,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write; else the terminal.")] = None,
) -> None:
    """Count the records that were kept aside, by file and reason."""
    import polars as pl

    from journeyflow.cli.output import write_frame
    from journeyflow.config import load_config
    from journeyflow.ingest.quarantine import quarantined

    found = quarantined(load_config(config), source, reason, with_rows=rows)
    write_frame(pl.DataFrame(found), form, output, None)


def replay(config: ConfigOption = DEFAULT_CONFIG, source: SourceOption = None, reason: ReasonOption = None) -> None:
    """Let the next run try again, after a fix: it reads all files of the sources that have such records."""
    from journeyflow.config import load_config
    from journeyflow.ingest.quarantine import replay as replay_rows

    for each in replay_rows(load_config(config), source, reason):
        typer.echo(f"{each.source}: {each.row_count:,} records in quarantine, {each.file_count:,} files to read again")
    typer.echo("Next: journeyflow run")


STANDARD_INPUT = "-"


def register_erase(app: typer.Typer) -> None:
    """Add the command of this module to `app`."""
    app.command(
        epilog=examples(
            "journeyflow forget --ids-from requests.txt --dry-run",
            "journeyflow forget --ids-from - --yes",
            "journeyflow forget --user-id 4711",
        )
    )(erase)


def erase(
    config: ConfigOption = DEFAULT_CONFIG,
    user_ids: Annotated[
        list[str] | None,
        typer.Option("--user-id", help="A user_id; may be repeated. It stays in your shell's history.", metavar="ID"),
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
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    memory: MemoryOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Erase people from the warehouse, the kept files, the quarantine and all that is published; then publish anew.

    Erased is the whole person: all their user_ids and the devices that nobody else uses. Your own input files are named
    and not touched; of what they bring of these people later nothing is stored.
    """
    from journeyflow.cli.progress import shown_progress
    from journeyflow.config import load_config
    from journeyflow.operations.erase import erase as forget_people
    from journeyflow.operations.erase import plan_erasure

    settings = load_config(config)
    ids = _ids(user_ids or [], anonymous_ids or [], ids_from)
    with shown_progress(is_quiet=quiet or as_json) as progress:
        plan = plan_erasure(settings, ids, progress, memory_limit=memory)
    if not as_json and not (quiet and yes):
        _tell(plan)
    if dry_run or plan.is_done:
        if as_json:
            typer.echo(json.dumps(plan.counts(), indent=2))
        return
    if not yes:
        _confirm(ids_from)
    with shown_progress(is_quiet=quiet or as_json) as progress:
        report = forget_people(settings, plan, memory_limit=memory, progress=progress).report
    if as_json:
        typer.echo(json.dumps(plan.counts() | {"run_id": report and report.run_id}, indent=2))
    elif not quiet:
        published = f"Published without them: run {report.run_id}." if report else "Nobody is left to publish of."
        typer.echo(f"Erased. {published}")


def _ids(user_ids: list[str], anonymous_ids: list[str], ids_from: str | None) -> list[RequestedId]:
    from journeyflow.operations.erase import RequestedId, read_ids

    ids = [RequestedId("user", each) for each in user_ids] + [RequestedId("device", each) for each in anonymous_ids]
    if ids_from == STANDARD_INPUT:
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
    if ids_from == STANDARD_INPUT or not _is_terminal():
        raise InputError("Nobody can be asked here. Say --yes to erase this; nothing was erased.")
    if not typer.confirm("Erase all this? It cannot be taken back."):
        typer.echo("Nothing was erased.")
        raise typer.Exit(ExitCode.FAILED)


def _is_terminal() -> bool:
    return sys.stdin.isatty()


def _tell(plan: ErasurePlan) -> None:
    """Say in numbers what goes and what stays; never an id."""
    if plan.is_done:
        typer.echo("They were erased before, and nothing came of them since.")
    else:
        typer.echo(f"Of {plan.user_count:,} user_ids and {plan.device_count:,} devices of the people that are meant:")
        typer.echo(
            f"  {plan.event_count:,} events, {plan.trait_count:,} traits, {plan.quarantined_count:,} quarantined rows"
        )
        if plan.other_count:
            typer.echo(f"    among them {plan.other_count:,} events of other people on the devices given")
        if plan.unknown_count:
            typer.echo(f"  {plan.unknown_count:,} of the ids given are named by no event and no trait")
        _list("kept files, to be written anew", plan.copies)
        _list("kept files that cannot be written anew and are removed", plan.dropped)
    _list("files of your own, which are not touched", plan.inputs)


def _list(title: str, files: tuple[FoundRecords, ...]) -> None:
    from journeyflow.utils.formatting import escaped

    if files:
        typer.echo(f"  {len(files):,} {title}:")
    for file in files:
        count = "" if file.record_count is None else f": {file.record_count:,} records"
        typer.echo(f"    {escaped(file.source_file)}{count}")
