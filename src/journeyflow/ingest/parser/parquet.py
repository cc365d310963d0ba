"""Parquet reader."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from journeyflow.engines import DuckDBEngine
from journeyflow.engines.base import quoted
from journeyflow.engines.base import text as literal
from journeyflow.errors import EngineError
from journeyflow.ingest.files import BLOCK_BYTES, RefusedFileError, opened, wrapping_of
from journeyflow.ingest.parser.records import KEPT_OF_LONG_LINES, KEYS, MAX_LINE_CHARACTERS, Parsed, Rejects

READ_ROWS = 10_240
_MEMORY = ("Out of Memory", "allocat", "malloc")


def read_parquet(engine: DuckDBEngine, path: Path, column_count: int) -> Parsed:
    """Read a Parquet file with the database's types; rows are counted as they are decoded, not by the footer."""
    source = f"read_parquet({literal(str(unpacked(path)))}, file_row_number => true)"
    try:
        found = engine.rows(f"select column_name, column_type from (describe select * from {source})").to_pylist()
    except EngineError as error:
        raise _refused(error, "the file is no Parquet that can be read") from error
    names, types = ([row[key] for row in found] for key in ("column_name", "column_type"))
    del types[names.index("file_row_number")]
    names.remove("file_row_number")
    if len(names) > column_count:
        raise RefusedFileError("too_wide", f"it has more than {column_count:,} columns")
    columns = "".join(f", {_stored(quoted(name), types[index])} as c{index}" for index, name in enumerate(names))
    select = f"select file_row_number as record_ix, file_row_number + 1 as source_row{columns} from {source}"
    rejects = Rejects()
    reader = _Damaged(engine, select)
    return Parsed("columns", reader.schema, _without_long_cells(reader, rejects), rejects.batches, tuple(names))


def _stored(column: str, sql_type: str) -> str:
    """Return SQL of a column as the archive of records can hold it: an interval is a text there."""
    if "INTERVAL" not in sql_type:
        return column
    return f"cast({column} as varchar)" if sql_type == "INTERVAL" else f"to_json({column})"


def unpacked(path: Path) -> Path:
    """Return the path of the plain Parquet file, unpacked where needed: the database checks its end only."""
    if wrapping_of(path) not in {"parquet", "plain"}:
        unpacked = path.with_name(f"{path.name}.unpacked")
        with opened(path) as stream, unpacked.open("wb") as target:
            shutil.copyfileobj(stream, target, BLOCK_BYTES)
        path = unpacked
    if wrapping_of(path) != "parquet":
        raise RefusedFileError("bad_parquet", "the file is no Parquet that can be read")
    return path


class _Damaged(Iterator[pa.RecordBatch]):
    """Rows of a select that refuse the file as damaged when they cannot be decoded."""

    def __init__(self, engine: DuckDBEngine, select: str) -> None:
        with _DamageNoticed():
            self._reader = engine.reader(select, READ_ROWS)
        self.schema = self._reader.schema

    def __next__(self) -> pa.RecordBatch:
        with _DamageNoticed():
            return self._reader.read_next_batch()


class _DamageNoticed:
    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, EngineError | pa.ArrowException | OSError) and not isinstance(error, MemoryError):
            raise _refused(error, "the file is damaged: its rows cannot be decoded") from error


def _refused(error: Exception, detail: str) -> Exception:
    """Distinguish lack of memory from a damaged file."""
    is_memory = any(sign in str(error) for sign in _MEMORY)
    return MemoryError() if is_memory else RefusedFileError("bad_parquet", detail)


def _without_long_cells(batches: Iterator[pa.RecordBatch], rejects: Rejects) -> Iterator[pa.RecordBatch]:
    """Reject rows with a cell longer than a line of text may be."""
    for batch in batches:
        yield batch if batch.nbytes <= MAX_LINE_CHARACTERS else _without_long(batch, rejects)


def _without_long(batch: pa.RecordBatch, rejects: Rejects) -> pa.RecordBatch:
    import pyarrow.compute as pc  # Slow to import and rarely needed.

    is_long = pa.array([False] * batch.num_rows)
    for column in batch.columns[len(KEYS) :]:
        texts = column.storage if isinstance(column, pa.ExtensionArray) else column
        if texts.nbytes > MAX_LINE_CHARACTERS and (pa.types.is_string(texts.type) or pa.types.is_binary(texts.type)):
            flags = pc.fill_null(pc.greater(pc.binary_length(texts), MAX_LINE_CHARACTERS), False)
            is_long = pc.or_(is_long, flags)
            _reject(batch, texts, pc.indices_nonzero(flags).to_pylist(), rejects)
    return batch.filter(pc.invert(is_long))


def _reject(batch: pa.RecordBatch, texts: pa.Array, places: list[int], rejects: Rejects) -> None:
    met = {row for row, *_ in rejects.rows}
    for place in places:
        row = batch["source_row"][place].as_py()
        if row not in met:
            head = memoryview(texts[place].as_buffer())[: KEPT_OF_LONG_LINES * 4]
            rejects.add(row, "too_long", "", bytes(head).decode("utf-8", "surrogateescape"))
