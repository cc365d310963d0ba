"""The records of a parsed file, shown to the database that stores them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from journeyflow.config.inputs import Source
from journeyflow.engines import DuckDBEngine
from journeyflow.errors import EngineError
from journeyflow.ingest.files import InputFile
from journeyflow.ingest.intake import Intake
from journeyflow.ingest.parsing.handover import Handed, handed, rejected
from journeyflow.ingest.readers.raw import RawRecords

_REJECTS = "select source_row, reason, detail, {raw} as raw from handed_rejects"


@contextmanager
def read_records(warehouse: DuckDBEngine, intake: Intake, file: InputFile, source: Source) -> Iterator[RawRecords]:
    """Show the records of a file as `raw_records` and `raw_rejects` while the context lasts.

    Raises
    ------
    RefusedFileError
        When the file cannot be read at all, or its parser hands over something else than records.
    """
    job = intake.job(file, source)
    answer = intake.parser.answer(job)
    folder = intake.staging.folder
    rows = handed(folder, job.rows_file, answer, intake.staging.limits)
    rejects = rejected(folder, job.rejects_file, answer)
    raw = "without_addresses(raw)" if source.format == "access_log" else "raw"
    with _believed(rows, rejects), warehouse.shown("raw_records", rows):
        with warehouse.shown("handed_rejects", rejects):
            warehouse.execute(f"create or replace temp table raw_rejects as {_REJECTS.format(raw=raw)}")
        types = tuple(warehouse.columns("raw_records").values())[2:] if answer.shape == "columns" else ()
        count = answer.row_count + answer.reject_count
        yield RawRecords(answer.shape, answer.names, types, count, answer.reject_count)


@contextmanager
def _believed(*handed_over: Handed) -> Iterator[None]:
    try:
        yield
    except EngineError:
        for each in handed_over:
            if each.error:
                raise each.error from None
        raise
