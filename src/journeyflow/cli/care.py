"""`doctor`, `rebuild`, `verify`, `compact` and `quarantine`: is all well, everything anew, what was kept aside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from journeyflow.cli.night import AsOfOption, MemoryOption, QuietOption
from journeyflow.cli.options import DEFAULT_CONFIG, ConfigOption, Format, JsonOption, examples, parse_instant
from journeyflow.cli.watching import LogFormat, LogOption, watched
from journeyflow.errors import ExitCode

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

    from journeyflow.cli.frames import console
    from journeyflow.config import load_config
    from journeyflow.doctor import examine
    from journeyflow.text import escaped

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
    from journeyflow.cli.frames import console
    from journeyflow.cli.reports import print_report
    from journeyflow.config import load_config
    from journeyflow.rebuilding import rebuild as rebuild_all

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
    from journeyflow.verifying import verify as verify_all

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
    from journeyflow.compacting import compact as compact_warehouse
    from journeyflow.config import load_config

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

    from journeyflow.cli.frames import write_frame
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
