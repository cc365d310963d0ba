"""What the process that parses does with one file: read it by its format and hand the records over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from journeyflow.engines import DuckDBEngine
from journeyflow.ingest.files import kind_of, opened
from journeyflow.ingest.parsing.handover import Budget, hand_over
from journeyflow.ingest.parsing.jobs import Answer, Job, Limits
from journeyflow.ingest.readers.csv import Dialect, read_csv
from journeyflow.ingest.readers.lines import TABLES, read_json_lines, read_lines
from journeyflow.ingest.readers.parquet import read_parquet
from journeyflow.ingest.readers.raw import REJECT_SCHEMA, Parsed

HEAD_BYTES = 1 << 16
SPILL = "spill"
DATABASE_SHARE = 0.4
"""Of the memory, what the database inside may take before it spills; the rest is for lines, batches and libraries."""


class Databases:
    """The database that helps to parse: made when a file needs it, kept for the next, made anew after a failure."""

    def __init__(self) -> None:
        self._engine: DuckDBEngine | None = None

    @contextmanager
    def engine(self, folder: Path, limits: Limits) -> Iterator[DuckDBEngine]:
        """Lend it, empty."""
        engine = self._engine or _engine(folder, limits)
        self._engine = None
        try:
            yield engine
            for name in TABLES:
                engine.drop(name)
        except BaseException:
            engine.close()
            raise
        self._engine = engine


def parse(folder: Path, job: Job, limits: Limits, databases: Databases | None = None) -> Answer:
    """Parse the file of a job in `folder` and leave its records there.

    Formats of collectors are written in several ways; which one a file is, its first bytes say: Parquet by its mark,
    JSON by an opening brace or bracket, else delimited text (by tabs when the header has any).

    Raises
    ------
    RefusedFileError
        When it cannot be read, or costs more than the limits allow.
    """
    path = folder / job.file
    budget = Budget.of(job.byte_count, limits)
    with _parsed(folder, path, job, limits, databases or Databases()) as parsed:
        row_count = hand_over(folder / job.rows_file, parsed.schema, parsed.batches, budget)
        reject_count = hand_over(folder / job.rejects_file, REJECT_SCHEMA, parsed.rejects(), budget)
    return Answer(parsed.shape, parsed.names, row_count, reject_count)


@contextmanager
def _parsed(folder: Path, path: Path, job: Job, limits: Limits, databases: Databases) -> Iterator[Parsed]:
    container = container_of(path, job.format)
    if container == "lines":
        with opened(path) as stream:
            yield read_lines(stream, job.encoding)
    elif container == "csv":
        with opened(path) as stream:
            yield read_csv(stream, dialect_of(path, job), limits.column_count)
    else:
        with databases.engine(folder, limits) as engine:
            if container == "parquet":
                yield read_parquet(engine, path, limits.column_count)
            else:
                yield read_json_lines(engine, path, job.encoding, job.records)


def _engine(folder: Path, limits: Limits) -> DuckDBEngine:
    memory = f"{int(limits.memory_bytes * DATABASE_SHARE) >> 20}MB"
    return DuckDBEngine(memory_limit=memory, threads=1, temp_folder=folder / SPILL, folders=[folder], is_lossless=True)


def container_of(path: Path, form: str) -> str:
    """Say how a file is written: ``parquet``, ``jsonl``, ``csv`` or ``lines``; of a collector's by its first bytes."""
    if form in {"csv", "jsonl", "parquet"}:
        return form
    if form == "access_log":
        return "lines"
    with path.open("rb") as stream:
        if kind_of(stream.read(4)) == "parquet":
            return "parquet"
    head = _head(path)
    if head.startswith(b"PAR1"):
        return "parquet"
    return "jsonl" if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"[")) else "csv"


def dialect_of(path: Path, job: Job) -> Dialect:
    """Return how delimited text is written."""
    delimiter = job.delimiter
    if job.format != "csv" and delimiter == "," and b"\t" in _head(path).split(b"\n", 1)[0]:
        delimiter = "\t"
    return Dialect(delimiter, job.quote, job.encoding, job.has_header)


def _head(path: Path) -> bytes:
    with opened(path) as stream:
        return stream.read(HEAD_BYTES)
