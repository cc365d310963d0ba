"""Parquet: read where it lies, or unpacked into a scratch file when it is wrapped."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq

from journeyflow.engines import DuckDBEngine
from journeyflow.errors import EngineError
from journeyflow.ingest.files import BLOCK_BYTES, InputFile, RefusedFileError, opened, wrapping_of
from journeyflow.ingest.quoting import identifier, literal
from journeyflow.ingest.readers.raw import RawRecords, Rejects

_PATTERN = re.compile("[*?\\[\\]{}\ud800-\udfff]")


@contextmanager
def parquet_file(warehouse: DuckDBEngine, file: InputFile) -> Iterator[RawRecords]:
    """Show a Parquet file as the view `raw_records` while the context lasts; its rows are read when they are landed.

    `record_count` is -1: what the footer says is not believed, the rows are counted as they are decoded.

    Raises
    ------
    RefusedFileError
        When the file is no Parquet, damaged or cut short.
    """
    with unpacked_parquet(file.path) as path, _damage_noticed(path):
        if wrapping_of(path) != "parquet":  # The database goes by the other end, and fails on the rows.
            raise RefusedFileError("bad_parquet", "the file is no Parquet that can be read")
        source = f"read_parquet({literal(str(path))}, file_row_number => true)"
        try:
            described = warehouse.rows(f"select column_name, column_type from (describe select * from {source})")
        except EngineError as error:
            raise RefusedFileError("bad_parquet", "the file is no Parquet that can be read") from error
        pairs = [(n, t) for n, t in zip(*described.to_pydict().values(), strict=True) if n != "file_row_number"]
        columns = "".join(f", {identifier(name)} as c{index}" for index, (name, _) in enumerate(pairs))
        # A file of another format leaves a table of this name, which a view does not replace.
        warehouse.execute("drop table if exists raw_records")
        warehouse.execute(
            "create temp view raw_records as select file_row_number as record_ix, "
            f"file_row_number + 1 as source_row{columns} from {source}"
        )
        warehouse.scratch("raw_rejects", Rejects().table().to_reader())
        try:
            yield RawRecords("columns", tuple(n for n, _ in pairs), tuple(t for _, t in pairs), record_count=-1)
        finally:
            with suppress(EngineError):  # A transaction that failed takes it away by itself.
                warehouse.execute("drop view raw_records")


@contextmanager
def unpacked_parquet(path: Path) -> Iterator[Path]:
    """Give the place of the Parquet file itself while the context lasts, unpacked and under a plain name."""
    if wrapping_of(path) in {"parquet", "plain"}:
        with _plainly_named(path) as plain:
            yield plain
        return
    with NamedTemporaryFile(prefix="journeyflow-", suffix=".parquet") as scratch:
        with opened(path) as stream:
            shutil.copyfileobj(stream, scratch, BLOCK_BYTES)
        scratch.flush()
        yield Path(scratch.name)


@contextmanager
def _plainly_named(path: Path) -> Iterator[Path]:
    """Give the database a name that is no pattern of other files, and is text."""
    if not _PATTERN.search(str(path)):
        yield path
        return
    with TemporaryDirectory(prefix="journeyflow-") as folder:
        link = Path(folder) / "input.parquet"
        link.symlink_to(path.absolute())
        yield link


@contextmanager
def _damage_noticed(path: Path) -> Iterator[None]:
    """Tell a damaged file, which fails only while its rows are decoded, from a failure of the database."""
    try:
        yield
    except EngineError as error:
        if not _is_readable(path):
            raise RefusedFileError("bad_parquet", "the file is damaged: its rows cannot be decoded") from error
        raise


def _is_readable(path: Path) -> bool:
    try:
        for _ in pq.ParquetFile(path, page_checksum_verification=True).iter_batches():
            pass
    except (OSError, pa.ArrowException):
        return False
    return True
