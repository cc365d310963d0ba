"""Records and rejects, the result of every reader; reading of text lines and blocks."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, Literal, TypeVar

import pyarrow as pa

from journeyflow.ingest.files import RefusedFileError

REJECT_SCHEMA = pa.schema(
    [("source_row", pa.int64()), ("reason", pa.string()), ("detail", pa.string()), ("raw", pa.string())]
)
"""Columns of the temporary relation `raw_rejects`."""
KEYS = pa.schema([("record_ix", pa.int64()), ("source_row", pa.int64())])
"""The first columns of `raw_records`."""
PLACE_BITS = 40
"""Where files are read together, the bits above these hold the place of the file, from 0: in `record_ix`, and in the
`source_row` of rejects."""

BATCH_ROWS = 50_000
BATCH_WEIGHT = 1 << 25
"""Characters, plus overhead, after which a batch is full: long records come in small batches."""

MAX_REJECTED_BYTES = 1 << 28
"""Unreadable records are held in memory; a file with more bytes of them is refused."""
_ROW_BYTES = 250
KEPT_OF_LONG_LINES = 1_000
_PATH_PART = re.compile(r"([^.\[\]]+)|\[(\d+)\]")

Shape = Literal["columns", "json", "lines"]
T = TypeVar("T")


@dataclass(frozen=True)
class Parsed:
    """A file that is being read; `rejects` is called after the last of `batches`. See `RawRecords` for the others."""

    shape: Shape
    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]
    rejects: Callable[[], Iterable[pa.RecordBatch]]
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class RawRecords:
    """Description of `raw_records`: the records of one file, or of several that are alike.

    `raw_records` holds `record_ix` (0-based, unique, less than the span of the file; see `PLACE_BITS`), `source_row`
    (1-based line or record number) and, by `shape`: ``columns`` — `c0`, `c1`, … named by `names` and typed by `types`;
    ``json`` — `record` and `parent` (the record around a nested one, without its list); ``lines`` — `line`. Names in
    files never become identifiers of the database. The counts are per file; `record_counts` include the rejects, and
    `spans` also the records that erasures removed.
    """

    shape: Shape
    names: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    record_counts: tuple[int, ...] = ()
    reject_counts: tuple[int, ...] = ()
    spans: tuple[int, ...] = ()

    @property
    def record_count(self) -> int:
        """Records in all files, unreadable ones included."""
        return sum(self.record_counts)

    @property
    def reject_count(self) -> int:
        """Records of all files that could not be read."""
        return sum(self.reject_counts)


@dataclass
class Rejects:
    """Collects unreadable records while a file is read."""

    rows: list[tuple[int, str, str, str]] = field(default_factory=list)
    byte_count: int = 0

    def add(self, source_row: int, reason: str, detail: str, raw: str) -> None:
        """Add an unreadable record with its reason; of a line that is too long only the beginning."""
        if reason == "too_long":
            detail, raw = f"its first {KEPT_OF_LONG_LINES:,} characters are kept", raw[:KEPT_OF_LONG_LINES]
        self.byte_count += len(raw) + _ROW_BYTES
        if self.byte_count > MAX_REJECTED_BYTES:
            raise RefusedFileError("too_broken", "too many of its records cannot be read; see `format` and `encoding`")
        self.rows.append((source_row, reason, detail, printable(raw)))

    def table(self) -> pa.Table:
        """Return them as the rows of `raw_rejects`."""
        columns = list(zip(*self.rows, strict=True)) or [()] * len(REJECT_SCHEMA)
        return pa.table(
            [pa.array(c, f.type) for c, f in zip(columns, REJECT_SCHEMA, strict=True)], schema=REJECT_SCHEMA
        )

    def batches(self) -> list[pa.RecordBatch]:
        """Return them in batches."""
        return list(self.table().to_batches(max_chunksize=BATCH_ROWS))


def in_batches(items: Iterable[tuple[int, T]]) -> Iterator[list[T]]:
    """Group weighted items into batches."""
    batch: list[T] = []
    weight = 0
    for heaviness, item in items:
        batch.append(item)
        weight += heaviness
        if len(batch) == BATCH_ROWS or weight > BATCH_WEIGHT:
            yield batch
            batch, weight = [], 0
    if batch:
        yield batch


def printable(text: str) -> str:
    """Escape bytes that are invalid in the file's encoding, so that the record can be stored."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace").replace("\x00", "\\x00")


BLOCK_CHARACTERS = 1 << 18
MAX_LINE_CHARACTERS = 1 << 24


def text_lines(stream: IO[bytes], encoding: str) -> Iterator[str]:
    """Yield the lines of a stream with their line ends, without a byte order mark.

    Invalid UTF-8 becomes lone surrogates, so that a bad line costs one record and not the file. A line longer than
    `MAX_LINE_CHARACTERS` is cut to one character more, so that `flaw_of` recognises it.
    """
    with _decoding(encoding):
        read = _text(stream, encoding).readline
        while line := read(MAX_LINE_CHARACTERS + 1):
            rest = line
            while len(rest) > MAX_LINE_CHARACTERS and rest[-1] not in "\r\n":
                rest = read(MAX_LINE_CHARACTERS + 1)
            yield line


def decoded(stream: IO[bytes], encoding: str) -> Iterator[str]:
    """Yield the text of a stream in blocks, decoded as `text_lines` does."""
    with _decoding(encoding):
        text = _text(stream, encoding)
        while block := text.read(BLOCK_CHARACTERS):
            yield block


def codec_of(encoding: str, *, is_written: bool = False) -> tuple[str, str]:
    """Return codec and error handler of an encoding; UTF-8 is written without a byte order mark."""
    is_utf8 = encoding.lower().replace("_", "-") in {"utf-8", "utf8", "utf-8-sig"}
    if not is_utf8:
        return encoding, "strict"
    return "utf-8" if is_written else "utf-8-sig", "surrogateescape"


def _text(stream: IO[bytes], encoding: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(stream, *codec_of(encoding), newline="")


@contextmanager
def _decoding(encoding: str) -> Iterator[None]:
    try:
        yield
    except (UnicodeError, LookupError) as error:
        detail = f"the file is not {encoding} text; set `encoding` of the source"
        raise RefusedFileError("bad_encoding", detail) from error


def flaw_of(line: str) -> str | None:
    """Return why a line cannot be stored: ``too_long``, ``nul_byte``, ``bad_encoding`` or None."""
    if len(line) > MAX_LINE_CHARACTERS:
        return "too_long"
    if "\x00" in line:
        return "nul_byte"
    if line.isascii():
        return None
    try:
        line.encode("utf-8")
    except UnicodeEncodeError:
        return "bad_encoding"
    return None


def json_path(path: str) -> str:
    """Return a dotted path of the configuration as a JSON pointer.

    DuckDB's other notation takes a ``*`` in a key for a wildcard, even a quoted one.

    Examples
    --------
    >>> json_path("items[0].unit/price")
    '/items/0/unit~1price'
    """
    parts = (key.replace("~", "~0").replace("/", "~1") or index for key, index in _PATH_PART.findall(path))
    return "".join(f"/{part}" for part in parts)
