"""`init`, `check` and `schema`: getting to a configuration that is right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from journeyflow.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, examples
from journeyflow.errors import ExitCode, InputError


def register(app: typer.Typer) -> None:
    """Add the commands of this module to `app`."""
    app.command(epilog=examples("journeyflow init", "journeyflow init data/events.csv.gz"))(init)
    app.command(epilog=examples("journeyflow check", "journeyflow check -c shop/journeyflow.yml --json"))(check)
    app.command(epilog=examples("journeyflow schema > journeyflow.schema.json"))(schema)


def init(
    data: Annotated[
        Path | None, typer.Argument(help="A file of events to look at: CSV, JSON lines or Parquet.", show_default=False)
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")] = DEFAULT_CONFIG,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
) -> None:
    """Write a commented configuration to start from; with a file of events, propose how to read it."""
    from journeyflow.cli.frames import write_file
    from journeyflow.cli.starter import starter

    if output.exists() and not force:
        raise InputError(f"{output} is there already. Name another file with --output, or replace it with --force.")
    text, notes = starter(data, output.parent)
    write_file(output, text.encode())
    typer.echo(f"Wrote {output}.")
    for note in notes:
        typer.echo(f"  {note}")
    typer.echo(f"Next: read it through, then journeyflow check --config {output}")


def check(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Find every error of the configuration at once, without reading the data."""
    from journeyflow.config import check as find_problems
    from journeyflow.text import escaped

    problems = find_problems(config)
    errors = sum(problem.severity == "error" for problem in problems)
    if as_json:
        from dataclasses import asdict

        typer.echo(json.dumps([asdict(problem) for problem in problems], indent=2))
    else:
        for problem in problems:
            typer.echo(escaped(problem))
        typer.echo(_verdict(config, errors, len(problems) - errors))
    if errors:
        raise typer.Exit(ExitCode.CONFIGURATION)


def _verdict(config: Path, errors: int, warnings: int) -> str:
    if not errors and not warnings:
        return f"{config} is in order."
    found = [f"{n} {word}{'s' * (n != 1)}" for n, word in ((errors, "error"), (warnings, "warning")) if n]
    return f"{config}: {' and '.join(found)}."


def schema(
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write; else the terminal.")] = None,
) -> None:
    """Print the JSON Schema of the configuration, for editors."""
    from journeyflow.cli.frames import write_file
    from journeyflow.config.schema import json_schema

    text = json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"
    if output:
        write_file(output, text.encode())
    else:
        typer.echo(text, nl=False)
