"""`forget`: erase people from everything that journeyflow keeps and publishes."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from journeyflow.cli.night import MemoryOption, QuietOption
from journeyflow.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, examples
from journeyflow.errors import ExitCode, InputError

if TYPE_CHECKING:
    from journeyflow.forgetting import Found, Id, Plan

STANDARD_INPUT = "-"


def register(app: typer.Typer) -> None:
    """Add the command of this module to `app`."""
    app.command(
        epilog=examples(
            "journeyflow forget --ids-from requests.txt --dry-run",
            "journeyflow forget --ids-from - --yes",
            "journeyflow forget --user-id 4711",
        )
    )(forget)


def forget(
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
    from journeyflow.forgetting import forget as forget_people
    from journeyflow.forgetting import plan_erasure

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


def _ids(user_ids: list[str], anonymous_ids: list[str], ids_from: str | None) -> list[Id]:
    from journeyflow.forgetting import Id, read_ids

    ids = [Id("user", each) for each in user_ids] + [Id("device", each) for each in anonymous_ids]
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


def _tell(plan: Plan) -> None:
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


def _list(title: str, files: tuple[Found, ...]) -> None:
    from journeyflow.text import escaped

    if files:
        typer.echo(f"  {len(files):,} {title}:")
    for file in files:
        count = "" if file.record_count is None else f": {file.record_count:,} records"
        typer.echo(f"    {escaped(file.source_file)}{count}")
