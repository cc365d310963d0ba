"""Advertising spend: rebuild `raw.spend` from the files of `spend:` in every run."""

from __future__ import annotations

from journeyflow.config import Config
from journeyflow.config.sources import Source
from journeyflow.engines import DuckDBEngine
from journeyflow.ingest.file_registry import FileRegistry
from journeyflow.ingest.files import InputFile, RefusedFileError, concerns_file, why_refused
from journeyflow.ingest.insert import RecordCounts
from journeyflow.ingest.mapping import AMOUNT, Fields, check_header
from journeyflow.ingest.parser.copy import InputParser, found_inputs, input_name, read_records
from journeyflow.state.warehouse import transaction

COLUMNS = ("date", "channel", "amount", "currency")
QUARANTINE_FILE = -1
"""The `file_ix` of quarantined rows of spend."""
_OUTCOME = "the spend of the last run stays"


class _RefusedSpendError(Exception):
    def __init__(self, name: str, detail: str) -> None:
        super().__init__(detail)
        self.name, self.detail = name, detail


def load_spend(config: Config, warehouse: DuckDBEngine, *, run_id: str, input_parser: InputParser) -> None:
    """Rebuild `raw.spend` from the files of `spend:`, and record the files in `ledger.loads`.

    Rows without a day, a channel or an amount that can be read are quarantined, without their text. Where a file cannot
    be read, or none of its rows, the file is recorded as refused, and the spend stays as the last run loaded it: a part
    of it would make channels look cheap.
    """
    registry = FileRegistry(warehouse, run_id, 0)
    try:
        with transaction(warehouse):
            warehouse.execute("delete from raw.spend")
            warehouse.execute(f"delete from raw.quarantine where file_ix = {QUARANTINE_FILE}")
            for file in _files(config, input_parser):
                registry.record_read("spend", file.name, file.sha256, _load(config, warehouse, input_parser, file))
    except _RefusedSpendError as error:
        registry.record_refused("spend", error.name, None, RecordCounts(), f"{error.detail}; {_OUTCOME}")


def _files(config: Config, input_parser: InputParser) -> list[InputFile]:
    if config.spend is None:
        return []
    name = input_name(config.spend.path, config.folder)
    try:
        paths = found_inputs(config.spend.path, config.folder, "spend")
    except RefusedFileError as error:
        raise _RefusedSpendError(name, error.detail) from error
    if not paths:
        raise _RefusedSpendError(name, "no file matches")
    files = []
    for path in paths:
        name = input_name(path, config.folder)
        try:
            files.append(input_parser.copies.take(path, config.folder))
        except RefusedFileError as error:
            raise _RefusedSpendError(name, error.detail) from error
    return files


def _load(config: Config, warehouse: DuckDBEngine, input_parser: InputParser, file: InputFile) -> RecordCounts:
    assert config.spend is not None
    source = Source(format=config.spend.format, path=config.spend.path, timezone=config.timezone)
    try:
        with read_records(warehouse, input_parser, file, source) as raw:
            counts = _insert(warehouse, file, Fields(raw))
    except Exception as error:
        if not isinstance(error, RefusedFileError) and not concerns_file(error):
            raise
        raise _RefusedSpendError(file.name, why_refused(error)) from error
    finally:
        input_parser.release(file, source)
    if counts.record == counts.quarantined > 0:
        raise _RefusedSpendError(file.name, f"none of its {counts.record:,} records can be read")
    return counts


def _insert(warehouse: DuckDBEngine, file: InputFile, fields: Fields) -> RecordCounts:
    check_header(fields, COLUMNS)
    texts = {name: f"nullif(trim({fields.text(name)}), '')" for name in COLUMNS}
    warehouse.execute(f"""
        create or replace temp table spend_records as
        select *,
            case
                when is_no_text then 'bad_encoding'
                when spend_date is null or not isfinite(spend_date) then 'bad_time'
                when channel is null then 'no_channel'
                when amount is null then 'bad_amount'
            end as reason
        from (
            select source_row, try_cast({texts["date"]} as date) as spend_date,
                substr({texts["channel"]}, 1, 100) as channel, try_cast({texts["amount"]} as {AMOUNT}) as amount,
                upper({texts["currency"]}) as currency, {fields.is_no_text(COLUMNS) or "false"} as is_no_text
            from raw_records
        )
    """)
    warehouse.execute(
        "insert into raw.spend select spend_date, channel, amount, currency from spend_records where reason is null"
    )
    rejected = "select {0}, ?, source_row, reason, null, null from {1} where reason is not null"
    for table in ("spend_records", "raw_rejects"):
        statement = f"insert into raw.quarantine {rejected.format(QUARANTINE_FILE, table)}"
        warehouse.execute(statement, [file.name])
    bad = warehouse.count("spend_records", "reason is not null") + warehouse.count("raw_rejects")
    good = warehouse.count("spend_records", "reason is null")
    return RecordCounts(record=good + bad, accepted=good, quarantined=bad)
