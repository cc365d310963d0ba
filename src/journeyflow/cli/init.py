"""`init`, `check`, `suggest` and `schema`: propose and validate a configuration and user-defined models."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from journeyflow.cli.output import DEFAULT_CONFIG, ConfigOption, JsonOption
from journeyflow.errors import ExitCode, InputError, JourneyflowError
from journeyflow.utils.formatting import escaped, numbered

if TYPE_CHECKING:
    from journeyflow.config.base import Problem
    from journeyflow.setup.proposal import Proposal
    from journeyflow.setup.trial import Trial


def init(
    data: Annotated[
        list[str] | None,
        typer.Argument(
            help="Files of events, folders or URLs to inspect: CSV, Excel, JSON lines, Parquet.", show_default=False
        ),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")] = DEFAULT_CONFIG,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
    no_questions: Annotated[
        bool, typer.Option("--no-questions", help="Ask nothing: what is not sure becomes a comment.")
    ] = False,
) -> None:
    """Propose a configuration from files of events, and try it. Without files, write an example to fill in.

    Looks at the values: times, identifiers, event names, collectors (docs/how-to/collectors.md lists them). Tries some
    thousand rows in memory and prints what came of them.
    """
    from journeyflow.cli.output import write_file

    if output.exists() and not force:
        raise InputError(f"{output} exists. Name another file with --output, or replace it with --force.")
    if not data:
        from journeyflow.setup.proposal import EXAMPLE

        write_file(output, EXAMPLE.encode())
        typer.echo(f"Wrote {output}.")
        typer.echo("  Fill in `sources`: the paths of the event files and the names of their columns.")
        typer.echo(f"Next: review it, then journeyflow check{_option(output)}")
        return
    from journeyflow.setup.proposal import nobody, propose

    is_asked = sys.stdin.isatty() and sys.stdout.isatty() and not no_questions
    proposal = propose(data, output.parent, _ask if is_asked else nobody)
    write_file(output, proposal.text.encode())
    _print_proposal(proposal, output)


def _option(output: Path) -> str:
    return "" if output == DEFAULT_CONFIG else f" --config {output}"


def _ask(question: str, answers: Sequence[str]) -> str | None:
    typer.echo(escaped(question))
    for number, answer in enumerate(answers, start=1):
        typer.echo(f"  {number}  {escaped(answer)}")
    chosen: int = typer.prompt("Which", default=1, type=int)
    return answers[min(max(chosen, 1), len(answers)) - 1]


def _print_proposal(proposal: Proposal, output: Path) -> None:
    typer.echo(f"Wrote {output}.")
    for note in proposal.notes:
        typer.echo(f"  {escaped(note)}")
    if proposal.trial:
        typer.echo("A trial of it:")
        for line in proposal.trial.lines():
            typer.echo(f"  {line}")
    if proposal.doubts:
        typer.echo("Doubtful:")
        for doubt in proposal.doubts:
            typer.echo(f"  {escaped(doubt)}")
    steps = "journeyflow run" if proposal.trial else "journeyflow check --trial"
    typer.echo(f"Next: review it, then {steps}{_option(output)}")


def check(
    config: ConfigOption = DEFAULT_CONFIG,
    trial: Annotated[
        bool,
        typer.Option("--trial", help="Also load and build some thousand rows in memory, and print what came of them."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Report every error of the configuration and lint the user-defined models; with --trial, try it on some rows."""
    from journeyflow.config import check as check_config

    problems = [*check_config(config), *lint_models(config if config.is_dir() else config.parent)]
    errors = sum(problem.severity == "error" for problem in problems)
    tried = _try(config) if trial and not errors else None
    if as_json and tried:
        from journeyflow.setup.trial import describe

        content = {"problems": [asdict(problem) for problem in problems], "trial": describe(tried)}
        typer.echo(json.dumps(content, indent=2))
    elif as_json:
        typer.echo(json.dumps([asdict(problem) for problem in problems], indent=2))
    else:
        for problem in problems:
            typer.echo(escaped(problem))
        typer.echo(_summary(config, errors, len(problems) - errors))
        for line in tried.lines() if tried else ():
            typer.echo(f"  {line}")
        for doubt in tried.doubts if tried else ():
            typer.echo(f"  doubtful: {doubt}")
    if errors:
        raise typer.Exit(ExitCode.CONFIGURATION)
    if tried and tried.empty_models:
        raise typer.Exit(ExitCode.EMPTY_MAP)


def _try(config: Path) -> Trial:
    from journeyflow.config import load_config
    from journeyflow.setup.trial import try_configuration

    return try_configuration(load_config(config))


def suggest(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Suggest stages for event names that no rule covers, from the last run. Changes nothing.

    A suggestion is shown with its probability where enough persons have the event and two halves of them agree. Beside
    it stands how often the same method finds the stage of names that have a rule.
    """
    from journeyflow.config import load_config
    from journeyflow.setup.proposal import suggest_stages

    found = suggest_stages(load_config(config))
    if as_json:
        typer.echo(json.dumps([each.to_dict() for each in found], indent=2))
        return
    for each in found:
        for line in each.lines():
            typer.echo(line)


def lint_models(project: Path) -> list[Problem]:
    """Return what is wrong with the user's models: an error stops a run, a broken rule of the lint does not."""
    from journeyflow.config.base import Problem

    if not any((project / name).is_dir() for name in ("sql", "models")):
        return []  # Without models nothing of sqlglot and duckdb is imported.
    from journeyflow.models import load_graph
    from journeyflow.models.checks import lint
    from journeyflow.state.paths import own_folder
    from journeyflow.utils.files import sql_folder

    try:
        graph = load_graph(sql_folder(), own_folder(project))
    except JourneyflowError as error:
        return [Problem("error", error.code, str(project / "sql"), None, "models", None, None, None, error.message)]
    return [
        Problem("warning", finding.code, str(graph[finding.model].path), None, finding.model, None, None, None, text)
        for finding in lint(graph, [model for model in graph if model.is_own])
        for text in [finding.message.removesuffix(".")]
    ]


def _summary(config: Path, errors: int, warnings: int) -> str:
    if not errors and not warnings:
        return f"{config} is valid."
    found = [numbered(n, word) for n, word in ((errors, "error"), (warnings, "warning")) if n]
    return f"{config}: {' and '.join(found)}."


def schema(
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write; else the terminal.")] = None,
) -> None:
    """Print the JSON Schema of the configuration, for editors."""
    from journeyflow.cli.output import write_file
    from journeyflow.config.load import json_schema

    text = json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"
    if output:
        write_file(output, text.encode())
    else:
        typer.echo(text, nl=False)
