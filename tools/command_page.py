"""The page of every command and option, made from the commands themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from journeyflow.cli.app import app

HEAD = """\
# The command line

Generated from the commands; `make docs` writes it. Every command tells the same with `--help`. What the exit codes
mean is in [exit-codes.md](exit-codes.md). Completion for your shell: `journeyflow --install-completion`.

Before the command may stand `--version`, and `--debug` (or `JOURNEYFLOW_DEBUG=1`) for the traceback of an error.
"""


def command_page() -> str:
    """Return the Markdown of `docs/reference/cli.md`."""
    root: Any = typer.main.get_command(app)
    sections = [
        section for name, command in root.commands.items() for section in _sections(f"journeyflow {name}", command)
    ]
    return "\n".join([HEAD, *sections])


def _sections(path: str, command: TyperCommand | TyperGroup) -> Iterator[str]:
    """Yield the section of a command, or those of the commands below it."""
    if isinstance(command, TyperGroup):
        children: dict[str, Any] = dict(command.commands)
        for name, child in children.items():
            yield from _sections(f"{path} {name}", child)
    else:
        yield _section(path, command)


def _section(path: str, command: TyperCommand) -> str:
    parameters: list[Any] = list(command.params)
    rows = [_row(parameter) for parameter in parameters if parameter.name != "help"]
    table = ["| argument or option | meaning | default |", "|---|---|---|", *rows] if rows else []
    examples = [line.removeprefix("$ ") for line in (command.epilog or "").split("\n\n")[1:]]
    fenced = ["", "```sh", *examples, "```", ""]
    return "\n".join([f"## {path}", "", command.help or "", "", *table, *fenced])


def _row(parameter: TyperArgument | TyperOption) -> str:
    is_argument = isinstance(parameter, TyperArgument)
    name = (
        (parameter.metavar or str(parameter.name).upper())
        if is_argument
        else ", ".join(f"`{text}`" for text in parameter.opts)
    )
    shown = f"`{name}`" if is_argument else name
    default = parameter.default
    hidden = default is None or default is False or callable(default)
    value = "" if hidden else f"`{getattr(default, 'value', default)}`"
    meaning = (parameter.help or "").replace("|", "\\|")
    return f"| {shown} | {meaning} | {value} |"
