"""Parquet: read where it lies, or unpacked into a scratch file when it is wrapped."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile

from journeyflow.engines import DuckDBEngine
from journeyflow.errors import EngineError
from journeyflow.ingest.files import BLOCK_BYTES, InputFile, RefusedFileError, opened, wrapping_of
from journeyflow.ingest.quoting import identifier, literal
from journeyflow.ingest.readers.raw import RawRecords, Rejects


@contextmanager
def parquet_file(warehouse: DuckDBEngine, file: InputFile) -> Iterator[RawRecords]:
    """Show a Parquet file as the view `raw_records` while the context lasts; its rows are read when they are landed.

    `record_count` is -1: what the footer says is not believed, the rows are counted as they are decoded.

    Raises
    ------
    RefusedFileError
        When the file is no Parquet, damaged or cut short.
    """
    with _unpacked(file.path) as path:
        source = f"read_parquet({literal(str(path))}, file_row_number => true)"
        try:
            described = warehouse.rows(f"select column_name, column_type from (describe select * from {source})")
        except EngineError as error:
            raise RefusedFileError("bad_parquet", "the file is no Parquet that can be read") from error
        pairs = [(n, t) for n, t in zip(*described.to_pydict().values(), strict=True) if n != "file_row_number"]
        columns = "".join(f", {identifier(name)} as c{index}" for index, (name, _) in enumerate(pairs))
        warehouse.execute(
            "create or replace temp view raw_records as select file_row_number as record_ix, "
            f"file_row_number + 1 as source_row{columns} from {source}"
        )
        warehouse.scratch("raw_rejects", Rejects().table().to_reader())
        yield RawRecords("columns", tuple(n for n, _ in pairs), tuple(t for _, t in pairs), record_count=-1)
        warehouse.execute("drop view raw_records")


@contextmanager
def _unpacked(path: Path) -> Iterator[Path]:
    if wrapping_of(path) in {"parquet", "plain"}:
        yield path
        return
    with NamedTemporaryFile(prefix="journeyflow-", suffix=".parquet") as scratch:
        with opened(path) as stream:
            shutil.copyfileobj(stream, scratch, BLOCK_BYTES)
        scratch.flush()
        yield Path(scratch.name)
