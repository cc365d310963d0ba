"""Reader of Excel workbooks (.xlsx), row by row; needs openpyxl, the extra `excel`."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa

from journeyflow.ingest.files import MAX_RATIO, RefusedFileError, allowed_bytes
from journeyflow.ingest.parser.records import KEYS, Parsed, Rejects, flaw_of, in_batches
from journeyflow.utils.formatting import escaped

MOST_ROWS = 1_048_576
"""Rows of a sheet, by Excel's own limit."""
_MOST_MEMBERS = 10_000
_CELL_WEIGHT = 50
_MOST_NAMES = 10
_OLD = b"\xd0\xcf\x11\xe0"
_EXACT_FLOAT = 1e15
_ERRORS = frozenset(("#NULL!", "#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!", "#N/A"))
"""What a cell of a formula that fails holds: as an identifier it would join persons."""

Row = tuple[int, list[str]]
"""A row's number, 1-based, and the texts of its cells without empty ones at the end."""


def is_workbook(path: Path) -> bool:
    """Return whether a file is an Excel workbook and no other zip."""
    try:
        with zipfile.ZipFile(path) as archive:
            return "xl/workbook.xml" in archive.namelist()
    except (OSError, ValueError, zipfile.BadZipFile):
        return False


def read_excel(path: Path, sheet: str | None, header: bool | Sequence[str], column_count: int) -> Parsed:
    """Read a sheet, by default the first visible one: one text column per column, an empty cell is null.

    Dates and times are ISO text, numbers are as short as they can be. Empty rows are left out; rows with more cells
    than the header, or with the error of a formula, are rejected.
    """
    rejects = Rejects()
    rows = _rows(path, sheet)
    first = next(rows, None)
    if first is None:
        raise RefusedFileError("bad_header", "the sheet is empty; see `sheet` of the source")
    if header is True:
        names = tuple(name.strip() for name in first[1])
    else:
        rows = chain([first], rows)
        names = tuple(header) if header else tuple(f"column{index}" for index in range(1, len(first[1]) + 1))
    if len(names) > column_count:
        raise RefusedFileError("too_wide", f"it has more than {column_count:,} columns")
    schema = pa.schema([*KEYS, *(pa.field(f"c{index}", pa.string()) for index in range(len(names)))])
    return Parsed("columns", schema, _batches(_good(rows, len(names), rejects), schema), rejects.batches, names)


def _rows(path: Path, sheet: str | None) -> Iterator[Row]:
    """Yield the rows that are not empty."""
    _require_sound(path)
    try:
        import openpyxl
    except ImportError as error:
        raise RefusedFileError("no_reader", "workbooks need the extra: pip install 'journeyflow[excel]'") from error
    try:
        with path.open("rb") as stream:  # By name only files that end in .xlsx would be read.
            book = openpyxl.load_workbook(stream, read_only=True, data_only=True, keep_links=False)
            found = _sheet(book, sheet)
            found.reset_dimensions()  # What a file says of its size may be wrong, and rows beyond it would be left out.
            for number, cells in enumerate(found.iter_rows(values_only=True), start=1):
                if number > MOST_ROWS:
                    raise RefusedFileError("too_many_rows", f"its sheet has more than {MOST_ROWS:,} rows")
                texts = [_text(value) for value in cells]
                while texts and not texts[-1]:
                    texts.pop()
                if texts:
                    yield number, texts
    except (RefusedFileError, MemoryError):
        raise
    except Exception as error:  # A library for sound files raises errors of many kinds for others.
        raise RefusedFileError(
            "bad_workbook", f"it is no workbook that can be read ({type(error).__name__})"
        ) from error


def _require_sound(path: Path) -> None:
    """Refuse what is no workbook, and one that unpacks to too much: no member is unpacked beyond what it states."""
    with path.open("rb") as stream:
        if stream.read(4) == _OLD:
            detail = "it is an old or an encrypted workbook; save it as .xlsx without a password"
            raise RefusedFileError("bad_workbook", detail)
    if not is_workbook(path):
        raise RefusedFileError("bad_workbook", "it is no .xlsx workbook, or damaged")
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    if len(members) > _MOST_MEMBERS or sum(each.file_size for each in members) > allowed_bytes(path.stat().st_size):
        raise RefusedFileError("bomb", f"the workbook unpacks to more than {MAX_RATIO} times its size")


def _sheet(book: Any, name: str | None) -> Any:  # noqa: ANN401 - openpyxl has no types
    sheets = {each.title: each for each in book.worksheets}
    if name is not None and name in sheets:
        return sheets[name]
    visible = [each for each in book.worksheets if each.sheet_state == "visible"]
    if name is None and visible:
        return visible[0]
    names = ", ".join(escaped(title) for title in list(sheets)[:_MOST_NAMES])
    raise RefusedFileError("no_sheet", f"it has no such sheet; its sheets are {names or 'none'}: see `sheet`")


def _text(value: object) -> str:
    """Return the text of a cell as an export in CSV would have it."""
    match value:
        case None:
            return ""
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer() and abs(value) < _EXACT_FLOAT:
            return str(int(value))
        case datetime():
            return value.isoformat(" ")
        case date() | time():
            return value.isoformat()
        case timedelta():
            return _text(value.total_seconds())
        case _:
            return repr(value) if isinstance(value, float) else str(value)


def _good(rows: Iterator[Row], width: int, rejects: Rejects) -> Iterator[tuple[int, Row]]:
    """Yield weight and row of the good rows; reject the others."""
    for number, texts in rows:
        length = sum(map(len, texts))
        flaw = next((found for text in texts if (found := flaw_of(text))), None)
        failed = next((index for index, text in enumerate(texts, start=1) if text in _ERRORS), None)
        if flaw:
            rejects.add(number, flaw, "", "\t".join(texts))
        elif len(texts) > width:
            rejects.add(number, "bad_record", f"{len(texts)} cells instead of {width}", "\t".join(texts))
        elif failed:
            rejects.add(number, "bad_record", f"the formula in column {failed} fails", "\t".join(texts))
        else:
            yield length + width * _CELL_WEIGHT, (number, texts + [""] * (width - len(texts)))


def _batches(rows: Iterator[tuple[int, Row]], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    done = 0
    for batch in in_batches(rows):
        numbers = pa.array(range(done, done + len(batch)), pa.int64())
        lines = pa.array([number for number, _ in batch], pa.int64())
        columns = zip(*(texts for _, texts in batch), strict=True)
        yield pa.record_batch([numbers, lines, *(pa.array(each, pa.string()) for each in columns)], schema=schema)
        done += len(batch)


_MOST_COPIED_COLUMNS = 10_000


def copy_rows(path: Path, target: Path, rows: int) -> bool:
    """Write the first rows of every sheet to a workbook; return whether that is all."""
    import openpyxl

    _require_sound(path)
    copied, is_whole = openpyxl.Workbook(write_only=True), True
    with path.open("rb") as stream:
        for sheet in openpyxl.load_workbook(stream, read_only=True, data_only=True, keep_links=False).worksheets:
            sheet.reset_dimensions()
            head = copied.create_sheet(sheet.title)
            head.sheet_state = sheet.sheet_state
            for number, cells in enumerate(sheet.iter_rows(values_only=True), start=1):
                if number > rows + 1:
                    is_whole = False
                    break
                # A row is as wide as its last cell, wherever that is; nothing after the last value is kept.
                width = next((at for at in range(len(cells), 0, -1) if cells[at - 1] is not None), 0)
                if width > _MOST_COPIED_COLUMNS:
                    raise RefusedFileError("too_wide", f"it has more than {_MOST_COPIED_COLUMNS:,} columns")
                head.append(cells[:width])
    copied.save(target)
    return is_whole
