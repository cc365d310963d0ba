"""Shared options; tables for terminals, spreadsheets and programs; errors as messages with exit codes."""

from __future__ import annotations

import inspect
import io
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from journeyflow.errors import EngineError, ExitCode, JourneyflowError, require_known
from journeyflow.utils.formatting import FORMULA_START, cell, count, duration, escaped, numbered, percent

if TYPE_CHECKING:
    import polars as pl
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from journeyflow.publish.reader import PublishedTables

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
    except SystemExit:
        raise
    except BaseException as error:  # A panic of an engine is no Exception.
        _exit_with(error)


def described(error: BaseException) -> tuple[str, ExitCode]:
    """Return the message of an error, which holds no value of the data, and its exit code."""
    if isinstance(error, JourneyflowError):
        return error.message, error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED, ExitCode.INTERRUPTED
    if isinstance(error, PermissionError) and error.filename:
        return f"Cannot use {error.filename}: {error.strerror}.", ExitCode.FAILED
    return _unexpected(error), ExitCode.FAILED


def _exit_with(error: BaseException) -> NoReturn:
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
PersonaOption = Annotated[str, typer.Option("--persona", help="One persona; 'all' or 'everybody' is the total.")]
FunnelArgument = Annotated[
    str | None,
    typer.Argument(help="A funnel or a journey model; by default the first model.", show_default=False),
]
AnyFunnelArgument = Annotated[
    str | None, typer.Argument(help="A funnel or a journey model; by default all of them.", show_default=False)
]
PeriodOption = Annotated[str, typer.Option("--period", help="A month of entry such as 2026-03; 'all' is the total.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]


ModelOption = Annotated[
    str | None, typer.Option("--model", help="A journey model; by default the first of the configuration.")
]


class Format(StrEnum):
    """Formats of rows."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


FormatOption = Annotated[Format, typer.Option("--format", "-f", help="How to write the rows.")]
OutputOption = Annotated[Path | None, typer.Option("--output", "-o", help="File to write; else the terminal.")]
MOST = 2**31 - 1
"""The highest limit that every engine takes."""
LimitOption = Annotated[
    int | None,
    typer.Option("--limit", help="Most rows; 0 is all. By default a table on the terminal is cut.", min=0, max=MOST),
]
RowsJsonOption = Annotated[bool, typer.Option("--json", help="The same as --format json.")]


@dataclass(frozen=True)
class Listing:
    """The rows of a command. `show` prints those within the limit for a person to read; without it they are a table.

    `title` is printed above them and `note` below; programs get neither, nor what `listing` leaves out. A limit counts
    rows or, where `counted` names a column, its values, of which `all` is always listed.
    `empty` says why there is no row, and what to do.
    """

    rows: pl.DataFrame
    title: str = ""
    note: str = ""
    show: Callable[[pl.DataFrame, Console], None] | None = None
    counted: str = ""
    empty: str = ""

    def cut(self, limit: int | None) -> tuple[pl.DataFrame, int, int]:
        """Return the rows within a limit (0 or None is none), how many that are, and how many there are in all."""
        import polars as pl

        if not self.counted:
            shown = self.rows.head(limit) if limit else self.rows
            return shown, shown.height, self.rows.height
        names = self.rows[self.counted].unique(maintain_order=True).drop_nulls()
        names = names.filter(names != "all")
        kept = names.head(limit) if limit else names
        return self.rows.filter(pl.col(self.counted).is_in(["all", *kept])), kept.len(), names.len()


def listing(read: Callable[..., Listing], most: int | None = 20) -> Callable[..., None]:
    """Return the command that lists what `read` returns of the published tables, in the format that the user chose.

    The arguments of `read` after the first, which is the open generation, become those of the command; a persona, model
    or period among them is known to exist when `read` is called. `most` rows are shown where the user sets no limit.
    Columns whose names begin with ``_`` are texts for people, which programs do not get.
    """

    def command(**chosen: Any) -> None:  # noqa: ANN401 - the arguments of any command
        form, limit, output = (chosen.pop(name) for name in ("form", "limit", "output"))
        form = rows_format(form, as_json=chosen.pop("as_json"))
        with open_marts(chosen.pop("config"), chosen.pop("published")) as marts:
            found = read(marts, **known_names(marts, chosen))
            if form is not Format.TABLE or output is not None:
                own = [name for name in found.rows.columns if not name.startswith("_")]
                found = replace(found, rows=found.rows.select(own))
        write_listing(found, form, output, limit, most)

    own = list(inspect.signature(read, eval_str=True, locals=_UNIMPORTED).parameters.values())[1:]
    shared = inspect.signature(_shared_options, eval_str=True).parameters.values()
    command.__signature__ = inspect.Signature(sorted([*own, *shared], key=_has_default))  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in (*own, *shared)}
    command.__doc__ = read.__doc__
    return command


def rows_format(form: Format, *, as_json: bool) -> Format:
    """Return the format of rows that --format and --json ask for; refuse two of them."""
    if as_json and form not in (Format.TABLE, Format.JSON):
        raise typer.BadParameter(f"--json and --format {form.value}: give one of the two")
    return Format.JSON if as_json else form


def open_marts(config: Path, published: Path | None) -> PublishedTables:
    """Open a published folder, by default that of the configuration."""
    from journeyflow.publish.reader import open_published
    from journeyflow.state.paths import folders_of

    return open_published(published or folders_of(config).publish)


def known_names(marts: PublishedTables, chosen: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a command with its model, persona and period as the tables name them.

    No model is the first; ``everybody`` is the total. Names that are not in the tables are refused.
    """
    found = dict(chosen)
    if "model" in found and found["model"] is None:
        from journeyflow.report.reader import first_model

        found["model"] = first_model(marts)
    for name in found.keys() & _NAMES.keys():
        known = marts.sql(_NAMES[name])["name"].to_list()
        if name == "persona" and found[name] == EVERYBODY and EVERYBODY not in known:
            found[name] = "all"
        require_known(name, found[name], known)
    return found


EVERYBODY = "everybody"
_NAMES = {
    "model": "select distinct model as name from map_stages order by name",
    "persona": "select persona as name from personas union select persona from funnel_steps order by name",
    "period": "select period as name from funnel_steps union select period from map_stages order by name",
}
"""Queries of the names that a command may be given, by the name of its argument."""


_UNIMPORTED = {"PublishedTables": object}
"""Names that only type checkers import where commands are defined."""
DEFAULT_ROWS = Format.TABLE


def _shared_options(
    limit: LimitOption = None,
    form: FormatOption = DEFAULT_ROWS,
    as_json: RowsJsonOption = False,
    output: OutputOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
    published: PublishedOption = None,
) -> None:
    """Declare the options that every list of rows has."""


def _has_default(parameter: inspect.Parameter) -> bool:
    return parameter.default is not inspect.Parameter.empty


def write_listing(found: Listing, form: Format, output: Path | None, limit: int | None, most: int | None) -> None:
    """Write a listing; `limit` is what the user set, `most` the rows on the terminal where nothing is set."""
    if form is not Format.TABLE or output is not None:
        write_frame(found.cut(limit)[0], form, output)
        return
    out = console()
    shown, number, every = found.cut(most if limit is None else limit)
    _require_years(shown)
    if found.title:
        out.print(_styled(found.title, "bold"))
    if found.empty and not every:
        out.print(_styled(found.empty, "dim"))
        return
    if found.show:
        found.show(shown, out)
    else:
        print_frame(shown)
    if number < every:
        out.print(f"{number:,} of {numbered(every, found.counted or 'row')}; all with --limit 0", style="dim")
    if found.note:
        out.print(_styled(found.note, "dim"))


def _styled(text: str, style: str) -> Text:
    from rich.text import Text

    return Text(escaped(text), style=style)


def parse_instant(text: str | None, option: str = "--as-of") -> datetime | None:
    """Return a day (its first instant) or a time as naive UTC; a time without a zone is UTC."""
    if text is None:
        return None
    try:
        instant = datetime.fromisoformat(text)
        return instant.astimezone(UTC).replace(tzinfo=None) if instant.tzinfo else instant
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(
            f"{option}: give a day or a time, such as 2026-03-31 or 2026-03-31T02:00:00+01:00"
        ) from error


WIDE = 100_000
"""Width in columns of output that is not a terminal: nothing is cut there."""


def console(*, stderr: bool = False) -> Console:
    """Return a console: as wide as the terminal, unlimited elsewhere."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, highlight=False, soft_wrap=False, width=None if stream.isatty() else WIDE)


def write_frame(frame: pl.DataFrame, form: Format, output: Path | None, *, is_private: bool = False) -> None:
    """Write the rows of `frame` to the file `output`, or to the terminal.

    In CSV a text that a spreadsheet would run as a formula gets a leading apostrophe. A private file is readable by its
    owner only.
    """
    if form is not Format.PARQUET:
        _require_years(frame)
    if form is Format.TABLE and output is None:
        return print_frame(frame)
    if form is Format.PARQUET and output is None and sys.stdout.isatty():
        raise typer.BadParameter("Parquet is not for a terminal: add --output rows.parquet")
    written = _as_bytes(frame, form)
    if output:
        write_file(output, written, mode=0o600 if is_private else 0o666)
    else:
        sys.stdout.buffer.write(written)
        sys.stdout.flush()
    return None


def write_file(output: Path, written: bytes, mode: int = 0o666) -> None:
    """Write a file that the user named; a new one has the rights of `mode`, less the umask, a private one always."""
    try:
        with os.fdopen(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
            if mode == 0o600 and output.is_file():
                os.fchmod(file.fileno(), mode)  # The file may have been there, for all to read.
            file.write(written)
    except OSError as error:
        hint = " Name a file in a folder that exists." if isinstance(error, FileNotFoundError) else ""
        raise JourneyflowError(f"Cannot write {output}: {error.strerror}.{hint}") from error


def make_folder(folder: Path) -> None:
    """Make a folder that the user named, where it is missing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise JourneyflowError(f"Cannot make the folder {folder}: {error.strerror}. Name another.") from error


def _as_bytes(frame: pl.DataFrame, form: Format) -> bytes:
    buffer = io.BytesIO()
    if form in (Format.JSON, Format.CSV):
        _require_writable(frame, form)
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
        rows = [[cell(value) for value in row] for row in frame.iter_rows()]
        Console(file=text, width=WIDE).print(_table(_columns(frame), rows))
        buffer.write(text.getvalue().encode())
    return buffer.getvalue()


def _require_writable(frame: pl.DataFrame, form: Format) -> None:
    """Refuse columns that JSON (bytes) or CSV (bytes, lists and structures) lacks."""
    from pyarrow import types

    from journeyflow.publish.reader import require_types

    are_bytes = (types.is_binary, types.is_large_binary, types.is_binary_view, types.is_fixed_size_binary)
    tests = are_bytes if form is Format.JSON else (*are_bytes, types.is_nested)
    require_types(frame.clear().to_arrow().schema, form.upper(), lambda kind: any(test(kind) for test in tests))


_YEARS = (-719_162, 2_932_897)
"""The first day of year 1 and the day after year 9999, in days since 1970."""
_DAY_PARTS = {"ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}


def _require_years(frame: pl.DataFrame) -> None:
    """Refuse times that have no text: those beyond the years 1 to 9999, and the infinite ones of SQL."""
    if beyond := [name for name in frame.columns if _is_beyond(frame[name])]:
        names = ", ".join(map(escaped, beyond))
        raise EngineError(f"Only Parquet can hold times beyond the years 1 to 9999, as of {names}. Cast to varchar.")


def _is_beyond(values: pl.Series) -> bool:
    import polars as pl

    kind = values.dtype
    if isinstance(kind, pl.Struct):
        return any(_is_beyond(values.struct.field(field.name)) for field in kind.fields)
    if isinstance(kind, pl.List | pl.Array):
        return _is_beyond(values.explode())
    if not isinstance(kind, pl.Date | pl.Datetime):
        return False
    parts = _DAY_PARTS[kind.time_unit] if isinstance(kind, pl.Datetime) else 1
    days = values.to_physical().cast(pl.Int64) // parts
    return bool(((days < _YEARS[0]) | (days >= _YEARS[1])).any())


def defused(frame: pl.DataFrame) -> pl.DataFrame:
    """Return `frame` with an apostrophe before every text that a spreadsheet would run as a formula."""
    import polars as pl
    from polars import selectors

    texts = selectors.string()
    is_formula = texts.str.contains(FORMULA_START)
    return frame.with_columns(pl.when(is_formula).then(pl.lit("'") + texts).otherwise(texts).name.keep())


def print_frame(frame: pl.DataFrame) -> None:
    """Print rows as a table, or each as a list of its columns where the terminal is too narrow."""
    print_rows(_columns(frame), frame.rows(), None)


def in_columns(**titles: str) -> Callable[[pl.DataFrame, Console], None]:
    """Return a printer of these columns below these titles, with rates, counts and times as people read them."""

    def show(rows: pl.DataFrame, out: Console) -> None:
        if rows.is_empty():
            out.print("No rows.")
            return
        shown = rows.select(list(titles))
        texts = [[_read(name, value) for name, value in row.items()] for row in shown.iter_rows(named=True)]
        _print_fitting(_columns(shown.rename(titles)), texts, out)

    return show


def text_column(values: list[str]) -> pl.Series:
    """Return texts as a column, also where there are none."""
    import polars as pl

    return pl.Series(values, dtype=pl.String)


_READERS: dict[str, Callable[[Any], str]] = {
    "_rate": percent,
    "rate_without": percent,
    "_count": count,
    "_seconds": duration,
    "_value": lambda value: "-" if value is None else "< 0.01" if value < 0.01 else f"{value:.2f}",
}


def _read(column: str, value: object) -> str:
    """Return a value of a published column as text, in the unit that the ending of the column's name says."""
    if isinstance(value, bool):
        return "yes" if value else ""
    reader = next((each for ending, each in _READERS.items() if f"_{column}".endswith(ending)), cell)
    return f"{value:.2f}" if reader is cell and isinstance(value, float) else reader(value)


def print_rows(columns: Mapping[str, bool], rows: Sequence[tuple[Any, ...]], limit: int | None) -> None:
    """Print rows as `print_frame` does; `columns` says by name whether they are numbers."""
    out, shown = console(), rows[:limit] if limit else rows
    if not rows:
        out.print(f"No row. The columns are: {', '.join(map(escaped, columns))}", markup=False)
        return
    _print_fitting(columns, [[cell(value) for value in row] for row in shown], out)
    if len(shown) < len(rows):
        out.print(f"{len(shown):,} of {numbered(len(rows), 'row')}; all with --limit 0", style="dim")


def _columns(frame: pl.DataFrame) -> dict[str, bool]:
    return {name: kind.is_numeric() for name, kind in frame.schema.items()}


def _print_fitting(columns: Mapping[str, bool], texts: list[list[str]], out: Console) -> None:
    """Print texts as a table that fits; `columns` says by name whether they are numbers.

    On a narrow terminal the column with the longest text is wrapped or, where that is not enough, rows become records.
    """
    table = _table(columns, texts)
    missing = width_of(table, out) - out.width
    if missing > 0 and texts:
        widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
        longest = widths.index(max(widths))
        spare = widths[longest] - max(LEAST_WRAPPED, len(list(columns)[longest]))
        if missing > spare:
            _print_records(list(columns), texts, out)
            return
        wrapped = table.columns[longest]
        wrapped.no_wrap, wrapped.min_width = False, LEAST_WRAPPED
    out.print(table)


def width_of(table: Table, out: Console) -> int:
    """Return how many columns of a terminal the table takes when nothing of it is cut."""
    return out.measure(table, options=out.options.update(width=WIDE)).maximum


def print_whole(table: Table, out: Console) -> None:
    """Print a table or, where the terminal is too narrow for all of it, each row as a list of its columns."""
    if width_of(table, out) <= out.width:
        out.print(table)
        return
    rows = zip(*([str(each) for each in column.cells] for column in table.columns), strict=True)
    _print_records([str(column.header) for column in table.columns], [list(row) for row in rows], out)


LEAST_WRAPPED = 24
"""Width in characters below which a column of text is not wrapped."""


def _table(columns: Mapping[str, bool], texts: list[list[str]]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name, is_number in columns.items():
        table.add_column(Text(escaped(name)), justify="right" if is_number else "left", no_wrap=True)
    for row in texts:
        table.add_row(*map(Text, row))
    return table


def print_hanging(label: str, text: Text, out: Console, *, width: int = 0) -> None:
    """Print a text after a label of at least `width` characters, its further lines below its own beginning."""
    from rich.text import Text

    indent = max(width, len(label)) + 2
    for number, line in enumerate(text.wrap(out, max(out.width - indent, 20))):
        line.rstrip()
        out.print(Text.assemble(f"{'' if number else label:>{indent - 2}}  ", line), soft_wrap=True)


def _print_records(columns: list[str], texts: list[list[str]], out: Console) -> None:
    from rich.text import Text

    width = max(map(len, columns), default=0)
    for number, row in enumerate(texts, start=1):
        out.print(Text(f"── row {number} ", style="dim"))
        for name, value in zip(columns, row, strict=True):
            out.print(Text(f"{escaped(name):<{width}}  {value}"), soft_wrap=True)


def unit_of(marts: PublishedTables, funnel: str) -> str:
    """Return the unit of a funnel, such as ``person``."""
    return str(marts.sql("select any_value(unit) as unit from funnel_steps where funnel = $1", [funnel])["unit"][0])


def who_text(persona: str) -> str:
    """Return a persona in words."""
    return "all persons" if persona == "all" else f"persona {persona}"


def when_text(period: str) -> str:
    """Return a period in words."""
    return "the whole time" if period == "all" else period
