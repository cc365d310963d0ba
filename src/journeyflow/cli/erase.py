"""`erase`: delete persons on request (GDPR erasure)."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from journeyflow.cli.output import DEFAULT_CONFIG, ConfigOption, JsonOption
from journeyflow.cli.progress import ProgressOption, ProgressStyle, shown_progress
from journeyflow.cli.run import MemoryOption, QuietOption
from journeyflow.errors import ExitCode, InputError
from journeyflow.utils.formatting import escaped, numbered

if TYPE_CHECKING:
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
        raise InputError("There is no terminal to confirm at. Confirm with --yes; nothing was erased.")
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
            typer.echo(f"  {plan.unknown_count:,} of the given ids occur in no event and no trait")
        if plan.similar_count:
            typer.echo(
                f"  {plan.similar_count:,} other ids differ from them only in case or Unicode form, and stay; "
                "--also-similar erases them too"
            )
        _print_files("files whose archived records are reduced", plan.copies)
        _print_files("originals, and damaged archived records, that are removed whole", plan.dropped)
    _print_files("input files that hold them and are not changed", plan.inputs)


def _print_files(title: str, files: tuple[FoundRecords, ...]) -> None:
    if files:
        typer.echo(f"  {len(files):,} {title}:")
    for file in files:
        count = "" if file.record_count is None else f": {numbered(file.record_count, 'record')}"
        typer.echo(f"    {escaped(file.source_file)}{count}")
