"""CSV reader: an explicit dialect, every line accounted for."""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO

import pyarrow as pa

from journeyflow.ingest.files import RefusedFileError
from journeyflow.ingest.parser.records import (
    KEYS,
    MAX_LINE_CHARACTERS,
    Parsed,
    Rejects,
    flaw_of,
    in_batches,
    text_lines,
)

MAX_RECORD_LINES = 1_000
"""A quoted record of more lines counts as an unclosed quote."""
MAX_COLUMNS = 10_000
_CELL_WEIGHT = 50
SEPARATOR_LINE = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
"""The first line that spreadsheets write to state the separator."""


@dataclass(frozen=True)
class Dialect:
    """How a text file is written; an empty `quote` means that nothing is quoted.

    `header` is whether the first line names the columns, which else are ``column1``, ``column2``, …; or their names.
    `pads_short_rows`: cells that a row lacks at its end are empty. `has_blanks`: blanks after a delimiter belong to it.
    """

    delimiter: str = ","
    quote: str = '"'
    encoding: str = "utf-8"
    header: bool | Sequence[str] = True
    pads_short_rows: bool = False
    has_blanks: bool = False


def read_csv(stream: IO[bytes], dialect: Dialect, column_count: int = MAX_COLUMNS) -> Parsed:
    """Read delimited text: one text column per column of the file; an empty cell is null."""
    rejects = Rejects()
    records = _Records(text_lines(stream, dialect.encoding), dialect, rejects)
    names = _header(records, dialect, column_count)
    schema = pa.schema([*KEYS, *(pa.field(f"c{index}", pa.string()) for index in range(len(names)))])
    return Parsed("columns", schema, _batches(records, schema), rejects.batches, names)


class _Feed:
    """Feeds lines to the parser and holds those of the current record, so that they can be read again."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self._again: deque[str] = deque()
        self.taken: list[str] = []
        self.length = 0
        self.start_line = 1
        self.flaw: str | None = None

    def begin(self) -> None:
        """Begin a record."""
        self.start_line += len(self.taken)
        self.taken = []
        self.length = 0
        self.flaw = None

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        # The parser raises an error at the end of its input inside quotes: that ends a record that is too long.
        if len(self.taken) >= MAX_RECORD_LINES or self.length > MAX_LINE_CHARACTERS:
            raise StopIteration
        line = self._again.popleft() if self._again else next(self._lines)
        self.taken.append(line)
        self.length += len(line)
        self.flaw = flaw_of(line) or self.flaw
        return line

    def again_from_start(self) -> None:
        """Feed the lines of the current record again."""
        self._again.extendleft(reversed(self.taken))
        self.taken = []

    def read_rest_again(self) -> str:
        """Return the first line of the record and feed the others again, as separate records."""
        self._again.extendleft(reversed(self.taken[1:]))
        del self.taken[1:]
        return self.taken[0]


class _Records:
    """The records of a file; of one that breaks the dialect the first line is rejected and the rest read again."""

    def __init__(self, lines: Iterator[str], dialect: Dialect, rejects: Rejects) -> None:
        csv.field_size_limit(MAX_LINE_CHARACTERS)
        self._feed = _Feed(lines)
        self._rejects = rejects
        self._pads_short_rows = dialect.pads_short_rows
        self._reader = csv.reader(
            self._feed,
            delimiter=dialect.delimiter,
            quotechar=dialect.quote or None,
            quoting=csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE,
            doublequote=True,
            skipinitialspace=dialect.has_blanks,
            strict=True,
        )

    def first(self, column_count: int) -> list[str]:
        """Return the fields of the first record that is not blank."""
        try:
            found = next(record for record in iter(self._next, None) if record and not self._is_separator_line())
        except (StopIteration, csv.Error) as error:
            raise RefusedFileError("bad_header", "the file has no header line that can be read") from error
        if self._feed.flaw or len(found) > column_count:
            detail = f"the header line cannot be read or has more than {column_count:,} columns; see `encoding`"
            raise RefusedFileError("bad_header", detail)
        return found

    def _is_separator_line(self) -> bool:
        line = "".join(self._feed.taken).strip().lstrip("\ufeff")
        return self._feed.start_line == 1 and SEPARATOR_LINE.fullmatch(line) is not None

    def again(self) -> None:
        """Read the first record again, as data."""
        self._feed.again_from_start()

    def of_width(self, width: int) -> Iterator[tuple[int, tuple[int, list[str]]]]:
        """Yield weight, line number and fields of every good record; reject the others."""
        while True:
            try:
                fields = self._next()
            except csv.Error as error:
                self._reject("bad_record", f"breaks the dialect: {error}")
                continue
            if fields is None:
                return
            if self._feed.flaw == "too_long":
                self._reject("bad_record", "a line of it is too long")
            elif self._feed.flaw:
                self._rejects.add(self._feed.start_line, self._feed.flaw, "", "".join(self._feed.taken))
            elif fields and len(fields) < width and self._pads_short_rows:
                padded = fields + [""] * (width - len(fields))
                yield self._feed.length + width * _CELL_WEIGHT, (self._feed.start_line, padded)
            elif len(fields) == width:
                yield self._feed.length + width * _CELL_WEIGHT, (self._feed.start_line, fields)
            elif fields:
                self._reject("bad_record", f"{len(fields)} fields instead of {width}")

    def _next(self) -> list[str] | None:
        self._feed.begin()
        return next(self._reader, None)

    def _reject(self, reason: str, detail: str) -> None:
        first = self._feed.read_rest_again()
        is_long = flaw_of(first) == "too_long"
        self._rejects.add(self._feed.start_line, "too_long" if is_long else reason, detail, first)


def _header(records: _Records, dialect: Dialect, column_count: int) -> tuple[str, ...]:
    first = records.first(column_count)
    if dialect.header is True:
        return tuple(name.strip() for name in first)
    records.again()
    if dialect.header:
        if len(dialect.header) != len(first):
            detail = f"its first row has {len(first)} columns, and `header` of the source names {len(dialect.header)}"
            raise RefusedFileError("bad_header", detail)
        return tuple(dialect.header)
    return tuple(f"column{index}" for index in range(1, len(first) + 1))


def _batches(records: _Records, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    done = 0
    for batch in in_batches(records.of_width(len(schema) - len(KEYS))):
        columns = zip(*(fields for _, fields in batch), strict=True)
        yield pa.record_batch(
            [
                pa.array(range(done, done + len(batch)), pa.int64()),
                pa.array([line for line, _ in batch], pa.int64()),
                *(pa.array(column, pa.string()) for column in columns),
            ],
            schema=schema,
        )
        done += len(batch)
