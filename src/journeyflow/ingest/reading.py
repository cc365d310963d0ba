"""Which reader reads a file of which format."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from journeyflow.config.inputs import Source
from journeyflow.engines import DuckDBEngine
from journeyflow.ingest.files import InputFile, opened, wrapping_of
from journeyflow.ingest.readers.csv import Dialect, read_csv
from journeyflow.ingest.readers.lines import read_json_lines, read_lines
from journeyflow.ingest.readers.parquet import parquet_file
from journeyflow.ingest.readers.raw import RawRecords

HEAD_BYTES = 1 << 16


@contextmanager
def read_records(warehouse: DuckDBEngine, file: InputFile, source: Source) -> Iterator[RawRecords]:
    """Show the records of a file as `raw_records` and `raw_rejects` while the context lasts.

    Formats of collectors are written in several ways; which one a file is, its first bytes say: Parquet by its mark,
    JSON by an opening brace or bracket, else delimited text (by tabs when the header has any).

    Raises
    ------
    RefusedFileError
        When the file cannot be read at all.
    """
    if source.format == "access_log":
        raw = read_lines(warehouse, file, source.encoding)
        warehouse.execute("update raw_rejects set raw = without_addresses(raw)")
        yield raw
        return
    container = source.format if source.format in {"csv", "jsonl", "parquet"} else container_of(file)
    if container == "parquet":
        with parquet_file(warehouse, file) as raw:
            yield raw
    elif container == "jsonl":
        yield read_json_lines(warehouse, file, source.encoding, source.records)
    else:
        yield read_csv(warehouse, file, dialect_of(source, file))


def container_of(file: InputFile) -> str:
    """Say by its first bytes how a collector's file is written: ``parquet``, ``jsonl`` or ``csv``."""
    if wrapping_of(file.path) == "parquet":
        return "parquet"
    head = _head(file)
    if head.startswith(b"PAR1"):
        return "parquet"
    return "jsonl" if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"[")) else "csv"


def dialect_of(source: Source, file: InputFile) -> Dialect:
    """Return how a source's delimited text is written."""
    delimiter = source.delimiter
    if source.format != "csv" and delimiter == "," and b"\t" in _head(file).split(b"\n", 1)[0]:
        delimiter = "\t"
    return Dialect(delimiter, source.quote, source.encoding, source.header)


def _head(file: InputFile) -> bytes:
    with opened(file.path) as stream:
        return stream.read(HEAD_BYTES)
