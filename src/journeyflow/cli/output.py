"""Shared options; tables for terminals, spreadsheets and programs; errors as messages with exit codes."""

from __future__ import annotations

import io
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from journeyflow.errors import ExitCode, JourneyflowError
from journeyflow.utils.formatting import FORMULA_START, cell, escaped

if TYPE_CHECKING:
    import polars as pl
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text


DEBUG_VARIABLE = "JOURNEYFLOW_DEBUG"
"""Environment variable that lets exceptions through with their traceback."""
INTERRUPTED = "interrupted. The last published version stays available."


def guarded(work: Callable[[], object]) -> None:
    """Do `work`; print what it raises as a message and exit with the code of the error, 130 after Ctrl-C."""
    try:
        work()
    except KeyboardInterrupt:
        typer.echo(f"journeyflow: {INTERRUPTED}", err=True)
        sys.exit(ExitCode.INTERRUPTED)
    except BrokenPipeError:
        # The reader of the pipe is gone, as after `| head`: the interpreter's last flush must not fail.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(ExitCode.FAILED)
    except Exception as error:
        _exit_with(error)


def described(error: BaseException) -> tuple[str, ExitCode]:
    """Return the message of an error, which holds no value of the data, and its exit code."""
    if isinstance(error, JourneyflowError):
        return error.message, error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED, ExitCode.INTERRUPTED
    return _unexpected(error), ExitCode.FAILED


def _exit_with(error: Exception) -> NoReturn:
    if os.environ.get(DEBUG_VARIABLE):
        raise error
    message, code = described(error)
    typer.echo(f"journeyflow: {escaped(message, keep_lines=True)}", err=True)
    sys.exit(code)


def _unexpected(error: BaseException) -> str:
    """Describe a bug by its type and place; its text may hold personal data and needs --debug."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    why = f" ({error.strerror})" if isinstance(error, OSError) and error.strerror else ""
    where = f"{Path(last.filename).name}, line {last.lineno}"
    return (
        f"an unexpected {type(error).__name__}{why} in {where}. The last published version stays available. "
        "See the details with: journeyflow --debug ..."
    )


DEFAULT_CONFIG = Path("journeyflow.yml")

ConfigOption = Annotated[Path, typer.Option("--config", "-c", help="The configuration file.", show_default=True)]
PublishedOption = Annotated[
    Path | None,
    typer.Option("--published", help="The published folder; by default that of the configuration."),
]
PersonaOption = Annotated[str, typer.Option("--persona", help="One persona; 'all' is the total.")]
PeriodOption = Annotated[str, typer.Option("--period", help="A month of entry such as 2026-03; 'all' is the total.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]


class Format(StrEnum):
    """Formats of rows."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


def parse_instant(text: str | None) -> datetime | None:
    """Return a day (its first instant) or a time as naive UTC; a time without a zone is UTC."""
    if text is None:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter("give a day or a time, such as 2026-03-31 or 2026-03-31T02:00:00+01:00") from error
    return instant.astimezone(UTC).replace(tzinfo=None) if instant.tzinfo else instant


WIDE = 100_000
"""Width in columns of output that is not a terminal: nothing is cut there."""


def console(*, stderr: bool = False) -> Console:
    """Return a console: as wide as the terminal, unlimited elsewhere."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, highlight=False, soft_wrap=False, width=None if stream.isatty() else WIDE)


def write_frame(frame: pl.DataFrame, form: Format, output: Path | None, limit: int | None) -> None:
    """Write the rows of `frame` to the file `output`, or to the terminal: there a table has at most `limit` rows.

    In CSV a text that a spreadsheet would run as a formula gets a leading apostrophe.
    """
    if form is Format.TABLE and output is None:
        return print_frame(frame, limit)
    if form is Format.PARQUET and output is None and sys.stdout.isatty():
        raise typer.BadParameter("Parquet is not for a terminal: add --output rows.parquet")
    written = _as_bytes(frame, form)
    if output:
        write_file(output, written)
    else:
        sys.stdout.buffer.write(written)
        sys.stdout.flush()
    return None


def write_file(output: Path, written: bytes) -> None:
    """Write a file that the user named."""
    try:
        output.write_bytes(written)
    except OSError as error:
        raise JourneyflowError(
            f"Cannot write {output}: {error.strerror}. Name a file in a folder that exists."
        ) from error


def _as_bytes(frame: pl.DataFrame, form: Format) -> bytes:
    buffer = io.BytesIO()
    if form is Format.PARQUET:
        frame.write_parquet(buffer)
    elif form is Format.JSON:
        frame.write_json(buffer)
        buffer.write(b"\n")
    elif form is Format.CSV:
        defused(frame).write_csv(buffer)
    else:
        from rich.console import Console

        text = io.StringIO()
        Console(file=text, width=WIDE).print(_table(_columns(frame), frame.rows()))
        buffer.write(text.getvalue().encode())
    return buffer.getvalue()


def defused(frame: pl.DataFrame) -> pl.DataFrame:
    """Return `frame` with an apostrophe before every text that a spreadsheet would run as a formula."""
    import polars as pl
    from polars import selectors

    texts = selectors.string()
    is_formula = texts.str.contains(FORMULA_START)
    return frame.with_columns(pl.when(is_formula).then(pl.lit("'") + texts).otherwise(texts).name.keep())


def print_frame(frame: pl.DataFrame, limit: int | None = None) -> None:
    """Print rows as a table, or each as a list of its columns where the terminal is too narrow."""
    print_rows(_columns(frame), frame.rows(), limit)


def print_rows(columns: Mapping[str, bool], rows: Sequence[tuple[Any, ...]], limit: int | None = None) -> None:
    """Print rows as `print_frame` does; `columns` says by name whether they are numbers."""
    out = console()
    shown = rows if limit is None else rows[:limit]
    table = _table(columns, shown)
    if out.measure(table, options=out.options.update(width=WIDE)).maximum > out.width:
        _print_records(columns, shown, out)
    else:
        out.print(table)
    if len(shown) < len(rows):
        out.print(f"{len(shown):,} of {len(rows):,} rows; all with --limit 0 or --format csv", style="dim")


def _columns(frame: pl.DataFrame) -> dict[str, bool]:
    return {name: kind.is_numeric() for name, kind in frame.schema.items()}


def _table(columns: Mapping[str, bool], rows: Sequence[tuple[Any, ...]]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name, is_number in columns.items():
        table.add_column(Text(escaped(name)), justify="right" if is_number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(cell(value)) for value in row))
    return table


def print_hanging(label: str, text: Text, out: Console, *, width: int = 0) -> None:
    """Print a text after a label of at least `width` characters, its further lines below its own beginning."""
    from rich.text import Text

    indent = max(width, len(label)) + 2
    for number, line in enumerate(text.wrap(out, max(out.width - indent, 20))):
        line.rstrip()
        out.print(Text.assemble(f"{'' if number else label:>{indent - 2}}  ", line), soft_wrap=True)


def _print_records(columns: Mapping[str, bool], rows: Sequence[tuple[Any, ...]], out: Console) -> None:
    from rich.text import Text

    width = max(map(len, columns), default=0)
    for number, row in enumerate(rows, start=1):
        out.print(Text(f"── row {number} ", style="dim"))
        for name, value in zip(columns, row, strict=True):
            out.print(Text(f"{escaped(name):<{width}}  {cell(value)}"), soft_wrap=True)
