"""Traits of persons and advertising spend: `raw.traits` and `raw.spend`, rebuilt from their files in every run."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import nullcontext, suppress

from journeyflow.config import Config
from journeyflow.config.sources import ColumnMapping, People, Source
from journeyflow.engines import DuckDBEngine
from journeyflow.engines.base import text as literal
from journeyflow.errors import InputError
from journeyflow.ingest.file_registry import FileRegistry
from journeyflow.ingest.files import InputFile, RawStore, RefusedFileError, concerns_file, why_refused
from journeyflow.ingest.insert import RecordCounts, raw_text_select, set_null_ids
from journeyflow.ingest.mapping import AMOUNT, Fields, check_header, time_of_column
from journeyflow.ingest.parser.client import InputParser, found_inputs, input_name, open_input_parser, read_records
from journeyflow.ingest.parser.records import RawRecords
from journeyflow.ingest.suppression import find_texts_naming, register_suppression
from journeyflow.state.warehouse import transaction

_UNNAMED = "traits"


class UnreadableTraitsError(InputError):
    """A file of traits cannot be read; `reason` and `detail` are those of `RefusedFileError`."""

    def __init__(self, name: str, reason: str, detail: str) -> None:
        super().__init__(f"The traits in {name} cannot be read: {detail}.")
        self.name, self.reason, self.detail = name, reason, detail


def load_traits(
    config: Config,
    warehouse: DuckDBEngine,
    *,
    run_id: str | None = None,
    input_parser: InputParser | None = None,
    must_read: bool = False,
) -> RecordCounts:
    """Rebuild `raw.traits` from the files of `people:` and count their records.

    Records without a user, or with a time that cannot be read, are quarantined; those of erased persons are only
    counted. Without `run_id` nothing is recorded in `ledger.loads`. Where a file cannot be read, or none of its
    records, all traits stay as the last run loaded them: a part of them would silently move persons between personas.
    Where there are none yet, the traits of the other files are loaded. InputError when a pattern matches no file, when
    the first load lacks a column, and for any file that cannot be read if all of them `must_read`, as a rebuild has no
    earlier traits.
    """
    registry = FileRegistry(warehouse, run_id, 0) if run_id else None
    register_suppression(warehouse, config, RawStore(config.state))
    has_traits = warehouse.count("raw.traits") > 0
    refused: set[str] = set()
    set_null_ids(warehouse, config)
    opened = nullcontext(input_parser) if input_parser else open_input_parser(config, run_id or _UNNAMED)
    with opened as taken:
        while True:
            try:
                with transaction(warehouse):
                    return _load_all(config, warehouse, registry, taken, refused, must_accept=has_traits)
            except UnreadableTraitsError as error:
                is_wrong = error.reason == "missing_column" and not has_traits
                if must_read or is_wrong or error.name in refused:
                    raise
                outcome = "the traits of the last run stay" if has_traits else "the run goes on without its traits"
                if registry:
                    registry.record_refused("people", error.name, None, RecordCounts(), f"{error.detail}; {outcome}")
                if has_traits:
                    return RecordCounts()
                refused.add(error.name)


def _load_all(
    config: Config,
    warehouse: DuckDBEngine,
    registry: FileRegistry | None,
    input_parser: InputParser,
    left_out: Collection[str],
    *,
    must_accept: bool,
) -> RecordCounts:
    total = RecordCounts()
    warehouse.execute("delete from raw.traits")
    warehouse.execute("delete from raw.quarantine where file_ix = 0")
    for index, people in enumerate(config.people):
        for file in _people_files(config, people, index, input_parser, left_out):
            counts = _load_traits_file(warehouse, input_parser, file, people, config.timezone)
            if must_accept and counts.record == counts.quarantined > 0:
                detail = f"none of its {counts.record:,} records can be read ({_reasons(warehouse, file.name)})"
                raise UnreadableTraitsError(file.name, "no_records", detail)
            if registry:
                registry.record_read("people", file.name, file.sha256, counts)
            total += counts
    return total


def _reasons(warehouse: DuckDBEngine, name: str) -> str:
    query = "select distinct reason from raw.quarantine where file_ix = 0 and source_file = ? order by reason"
    return ", ".join(warehouse.rows(query, [name])["reason"].to_pylist())


def find_erased_traits(config: Config, warehouse: DuckDBEngine, input_parser: InputParser) -> list[tuple[str, int]]:
    """Return the files of `people:` that hold records of erased persons, and how many records; read-only.

    Files that cannot be read are left out: a run would refuse them too.
    """
    found = []
    set_null_ids(warehouse, config)
    for index, people in enumerate(config.people):
        for file in _people_files(config, people, index, input_parser):
            source = _source(people, config.timezone)
            with suppress(RefusedFileError), read_records(warehouse, input_parser, file, source) as raw:
                select = _select(people, Fields(raw), source.timezone)
                warehouse.execute(f"create or replace temp table trait_records as {select}")
                found.append((file.name, _delete_erased(warehouse)))
            input_parser.release(file, people)
    return [(name, count) for name, count in found if count]


def _people_files(
    config: Config, people: People, index: int, input_parser: InputParser, left_out: Collection[str] = ()
) -> list[InputFile]:
    if (whole := input_name(people.path, config.folder)) in left_out:
        return []
    try:
        paths = found_inputs(people.path, config.folder, "people")
    except RefusedFileError as error:
        raise UnreadableTraitsError(whole, error.reason, error.detail) from error
    if not paths:
        raise InputError(f"No file matches {people.path}; correct `people[{index}].path` or add the file.")
    files = []
    for path in paths:
        if (name := input_name(path, config.folder)) in left_out:
            continue
        try:
            files.append(input_parser.copies.take(path, config.folder))
        except RefusedFileError as error:
            raise UnreadableTraitsError(name, error.reason, error.detail) from error
    input_parser.ask(files, people)
    return files


def _load_traits_file(
    warehouse: DuckDBEngine, input_parser: InputParser, file: InputFile, people: People, zone: str
) -> RecordCounts:
    source = _source(people, zone)
    try:
        with read_records(warehouse, input_parser, file, source) as raw:
            return _insert_traits(warehouse, file, people, raw, source.timezone)
    except Exception as error:
        if not isinstance(error, RefusedFileError) and not concerns_file(error):
            raise
        reason = error.reason if isinstance(error, RefusedFileError) else "unreadable"
        raise UnreadableTraitsError(file.name, reason, why_refused(error)) from error
    finally:
        input_parser.release(file, people)


def _source(people: People, zone: str) -> Source:
    return Source(
        format=people.format,
        path=people.path,
        encoding=people.encoding,
        delimiter=people.delimiter,
        quote=people.quote,
        pad_short_rows=people.pad_short_rows,
        timezone=people.timezone or zone,
    )


def _insert_traits(
    warehouse: DuckDBEngine, file: InputFile, people: People, raw: RawRecords, zone: str
) -> RecordCounts:
    warehouse.execute(f"create or replace temp table trait_records as {_select(people, Fields(raw), zone)}")
    erased = _delete_erased(warehouse)
    warehouse.execute(_QUARANTINE, [file.name, file.name])
    for trait in range(len(people.traits)):
        name = literal(people.traits[trait])
        warehouse.execute(
            f"insert into raw.traits select distinct md5_number_lower('u:' || user_id), user_id, {name}, t{trait}, "
            "valid_from from trait_records where reason is null"
        )
    bad = warehouse.count("trait_records", "reason is not null") + warehouse.count("raw_rejects")
    good = warehouse.count("trait_records", "reason is null")
    return RecordCounts(record=good + bad + erased, accepted=good, quarantined=bad, erased=erased)


def _delete_erased(warehouse: DuckDBEngine) -> int:
    """Delete records of erased persons from `trait_records` and `raw_rejects`, and return how many."""
    if not warehouse.count("erased_ids"):
        return 0
    before = warehouse.count("trait_records") + warehouse.count("raw_rejects")
    warehouse.execute("delete from trait_records where is_erased_user(user_id)")
    for table, condition in (("trait_records", "reason is not null"), ("raw_rejects", "true")):
        find_texts_naming(warehouse, f"select rowid as row_id, raw as text from {table} where {condition}")
        warehouse.execute(f"delete from {table} where rowid in (select row_id from naming_texts)")
    return before - warehouse.count("trait_records") - warehouse.count("raw_rejects")


_QUARANTINE = """
insert into raw.quarantine
select 0, ?, source_row, reason, null, raw from trait_records where reason is not null
union all
select 0, ?, source_row, reason, nullif(detail, ''), raw from raw_rejects
"""


def _select(people: People, fields: Fields, zone: str) -> str:
    named = [people.user_id, *people.traits, *([people.valid_from] if people.valid_from else [])]
    check_header(fields, named)
    user, at = f"identifier_of({fields.identifier(people.user_id)})", "cast(null as timestamp)"
    given = "false"
    if people.valid_from:
        name = people.valid_from
        at = time_of_column(
            fields.value(name), fields.text(name), fields.type_of(name), ColumnMapping(column=name), zone
        )
        given = f"{fields.text(name)} is not null"
    traits = ", ".join(f"{fields.text(name)} as t{index}" for index, name in enumerate(people.traits))
    return f"""
        select *,
            case
                when is_no_text then 'bad_encoding'
                when user_id is null then 'no_identifier'
                when is_dated and valid_from is null then 'bad_time'
            end as reason
        from (
            select source_row, {user} as user_id, {at} as valid_from, {given} as is_dated, {traits},
                {fields.is_no_text(named) or "false"} as is_no_text,
                {raw_text_select(fields.raw)} as raw
            from raw_records
        )
    """


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
            for file in _spend_files(config, input_parser):
                registry.record_read(
                    "spend", file.name, file.sha256, _load_spend_file(config, warehouse, input_parser, file)
                )
    except _RefusedSpendError as error:
        registry.record_refused("spend", error.name, None, RecordCounts(), f"{error.detail}; {_OUTCOME}")


def _spend_files(config: Config, input_parser: InputParser) -> list[InputFile]:
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


def _load_spend_file(
    config: Config, warehouse: DuckDBEngine, input_parser: InputParser, file: InputFile
) -> RecordCounts:
    assert config.spend is not None
    source = Source(format=config.spend.format, path=config.spend.path, timezone=config.timezone)
    try:
        with read_records(warehouse, input_parser, file, source) as raw:
            counts = _insert_spend(warehouse, file, Fields(raw))
    except Exception as error:
        if not isinstance(error, RefusedFileError) and not concerns_file(error):
            raise
        raise _RefusedSpendError(file.name, why_refused(error)) from error
    finally:
        input_parser.release(file, source)
    if counts.record == counts.quarantined > 0:
        raise _RefusedSpendError(file.name, f"none of its {counts.record:,} records can be read")
    return counts


def _insert_spend(warehouse: DuckDBEngine, file: InputFile, fields: Fields) -> RecordCounts:
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
