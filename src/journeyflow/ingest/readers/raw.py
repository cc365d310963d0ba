"""What every reader leaves behind: the records of a file as the relation `raw_records`, and those it could not read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import pyarrow as pa

from journeyflow.engines import DuckDBEngine
from journeyflow.errors import EngineError
from journeyflow.ingest.files import RefusedFileError

REJECT_SCHEMA = pa.schema(
    [("source_row", pa.int64()), ("reason", pa.string()), ("detail", pa.string()), ("raw", pa.string())]
)
"""Columns of the temporary relation `raw_rejects`."""

MAX_REJECTED_BYTES = 1 << 28
"""Unreadable records are held in memory until the file is read; one with more of them than this is refused."""
_ROW_BYTES = 250
KEPT_OF_LONG_LINES = 1_000

Shape = Literal["columns", "json", "lines"]


@dataclass(frozen=True)
class RawRecords:
    """The records of one file, materialised.

    `raw_records` holds `record_ix` (0-based, unique), `source_row` (1-based line or record number) and, by `shape`:
    ``columns`` — `c0`, `c1`, … named by `names` and typed by `types`; ``json`` — `record` and `parent` (the record
    around a nested one, without its list); ``lines`` — `line`. No name of a file becomes an identifier of the database.

    Parameters
    ----------
    shape : str
        ``columns``, ``json`` or ``lines``.
    names, types : tuple of str
        Header of the file and the types of its columns (``columns`` only).
    record_count : int
        Records in the file, unreadable ones included.
    reject_count : int
        Records that could not be read; they are in `raw_rejects`.
    """

    shape: Shape
    names: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    record_count: int = 0
    reject_count: int = 0


@dataclass
class Rejects:
    """Collects unreadable records while a file is read."""

    rows: list[tuple[int, str, str, str]] = field(default_factory=list)
    byte_count: int = 0

    def add(self, source_row: int, reason: str, detail: str, raw: str) -> None:
        """Keep one unreadable record whole, with the reason; of a line that is too long its beginning."""
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


def printable(text: str) -> str:
    """Write bytes that are no text of the file's encoding as escapes, so that the record can be stored."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace").replace("\x00", "\\x00")


def materialise(warehouse: DuckDBEngine, schema: pa.Schema, batches: Iterator[pa.RecordBatch], rejects: Rejects) -> int:
    """Fill `raw_records` from a stream of batches and then `raw_rejects`.

    Returns
    -------
    int
        Rows in `raw_records`, counted in the database.
    """
    guarded = _Guarded(batches)
    try:
        warehouse.scratch("raw_records", pa.RecordBatchReader.from_batches(schema, guarded))
    except EngineError:
        if guarded.error:
            raise guarded.error from None
        raise
    warehouse.scratch("raw_rejects", rejects.table().to_reader())
    return warehouse.count("raw_records")


class _Guarded(Iterator[pa.RecordBatch]):
    """Keep the error of a stream: the database that pulls it turns any into one of its own."""

    def __init__(self, batches: Iterator[pa.RecordBatch]) -> None:
        self._batches = batches
        self.error: Exception | None = None

    def __next__(self) -> pa.RecordBatch:
        try:
            return next(self._batches)
        except StopIteration:
            raise
        except Exception as error:
            self.error = error
            raise
