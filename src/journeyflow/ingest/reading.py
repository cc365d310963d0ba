"""The records of parsed files, shown to the database that stores them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from journeyflow.config.inputs import Source
from journeyflow.engines import DuckDBEngine
from journeyflow.errors import EngineError
from journeyflow.ingest.files import InputFile
from journeyflow.ingest.intake import Intake
from journeyflow.ingest.parsing.handover import Handed, Joined, handed, rejected
from journeyflow.ingest.parsing.jobs import Answer
from journeyflow.ingest.readers.raw import RawRecords

_REJECTS = "select source_row, reason, detail, {raw} as raw from handed_rejects"


@dataclass(frozen=True)
class ParsedFile:
    """A file that the parser is done with: what it said, and where the records are."""

    answer: Answer
    rows: Handed
    rejects: Handed

    def is_like(self, other: ParsedFile) -> bool:
        """Tell whether both can be read by the same statements."""
        mine, theirs = self.answer, other.answer
        is_alike = (mine.shape, mine.names) == (theirs.shape, theirs.names)
        return is_alike and self.rows.schema.equals(other.rows.schema)


def parsed_file(intake: Intake, file: InputFile, source: Source) -> ParsedFile:
    """Wait until a file is parsed.

    Raises
    ------
    RefusedFileError
        When the file cannot be read at all, or its parser hands over something else than records.
    """
    job = intake.job(file, source)
    answer = intake.parser.answer(job)
    folder = intake.staging.folder
    rows = handed(folder, job.rows_file, answer, intake.staging.limits)
    return ParsedFile(answer, rows, rejected(folder, job.rejects_file, answer))


@contextmanager
def read_records(warehouse: DuckDBEngine, intake: Intake, file: InputFile, source: Source) -> Iterator[RawRecords]:
    """Show the records of a file as `raw_records` and `raw_rejects` while the context lasts.

    Raises
    ------
    RefusedFileError
        When the file cannot be read at all, or its parser hands over something else than records.
    """
    with read_together(warehouse, [parsed_file(intake, file, source)], source) as raw:
        yield raw


@contextmanager
def read_together(warehouse: DuckDBEngine, files: Sequence[ParsedFile], source: Source) -> Iterator[RawRecords]:
    """Do as `read_records` does, with several files that are alike.

    Raises
    ------
    RefusedFileError
        When the parser handed over something else than records.
    """
    rows, rejects = (file.rows for file in files), (file.rejects for file in files)
    answer = files[0].answer
    raw = "without_addresses(raw)" if source.format == "access_log" else "raw"
    with _believed(files), warehouse.shown("raw_records", Joined(tuple(rows))):
        with warehouse.shown("handed_rejects", Joined(tuple(rejects))):
            warehouse.execute(f"create or replace temp table raw_rejects as {_REJECTS.format(raw=raw)}")
        types = tuple(warehouse.columns("raw_records").values())[2:] if answer.shape == "columns" else ()
        rejected_counts = tuple(file.answer.reject_count for file in files)
        counts = tuple(file.answer.row_count + file.answer.reject_count for file in files)
        yield RawRecords(answer.shape, answer.names, types, counts, rejected_counts)


@contextmanager
def _believed(files: Sequence[ParsedFile]) -> Iterator[None]:
    try:
        yield
    except EngineError:
        for handed_over in (part for file in files for part in (file.rows, file.rejects)):
            if handed_over.error:
                raise handed_over.error from None
        raise
