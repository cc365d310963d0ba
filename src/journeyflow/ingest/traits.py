"""Traits of people from the files of `people:`, read anew by every run."""

from __future__ import annotations

from contextlib import nullcontext, suppress

from journeyflow.config import Config
from journeyflow.config.inputs import ColumnMapping, People, Source
from journeyflow.engines import DuckDBEngine
from journeyflow.errors import InputError
from journeyflow.ingest.files import InputFile, RefusedFileError, matching_paths
from journeyflow.ingest.intake import Intake, intake_of
from journeyflow.ingest.keeping import Kept
from journeyflow.ingest.landing import Counts
from journeyflow.ingest.ledger import Ledger
from journeyflow.ingest.mapping import Fields, check_header
from journeyflow.ingest.quoting import literal
from journeyflow.ingest.readers.raw import RawRecords
from journeyflow.ingest.reading import read_records
from journeyflow.ingest.showing import shown
from journeyflow.ingest.times import time_of_column
from journeyflow.ingest.tombstones import arm, find_naming
from journeyflow.ingest.transactions import transaction

_UNNAMED = "traits"


def load_traits(
    config: Config, warehouse: DuckDBEngine, *, run_id: str | None = None, intake: Intake | None = None
) -> Counts:
    """Rebuild `landed.traits` from the files of `people:`.

    Parameters
    ----------
    config : Config
        The project.
    warehouse : DuckDBEngine
        From `open_warehouse`.
    run_id : str or None
        Names the run in `ledger.loads`; None writes nothing there.
    intake : Intake or None
        Copies and parses files; None opens one for this call.

    Returns
    -------
    Counts
        Of the records of all files: one without a user, or with a time that cannot be read, is quarantined; one of
        somebody who was erased is counted and not stored.

    Raises
    ------
    InputError
        When a pattern matches no file, or a file cannot be read: traits missing in silence would move people between
        personas.
    """
    ledger = Ledger(warehouse, run_id, 0) if run_id else None
    arm(warehouse, config, Kept(config.state))
    total = Counts()
    opened = nullcontext(intake) if intake else intake_of(config, run_id or _UNNAMED)
    with opened as taken, transaction(warehouse):
        warehouse.execute("delete from landed.traits")
        warehouse.execute("delete from landed.quarantine where file_ix = 0")
        for index, people in enumerate(config.people):
            for file in _files(config, people, index, taken):
                counts = _load(warehouse, taken, file, people, config.timezone)
                if ledger:
                    ledger.record_traits(file.name, file.sha256, counts)
                total += counts
    return total


def find_erased_traits(config: Config, warehouse: DuckDBEngine, intake: Intake) -> list[tuple[str, int]]:
    """Return the files of `people:` that hold records of erased people, and how many; nothing is changed.

    Files that cannot be read are left out: no night could be run with them either.
    """
    found = []
    for index, people in enumerate(config.people):
        for file in _files(config, people, index, intake):
            source = _source(people, config.timezone)
            with suppress(RefusedFileError), read_records(warehouse, intake, file, source) as raw:
                select = _select(people, Fields(raw), source.timezone)
                warehouse.execute(f"create or replace temp table trait_records as {select}")
                found.append((file.name, _take_out_erased(warehouse)))
            intake.release(file, people)
    return [(name, count) for name, count in found if count]


def _files(config: Config, people: People, index: int, intake: Intake) -> list[InputFile]:
    paths = matching_paths(str(people.path), config.folder)
    if not paths:
        raise InputError(f"No file matches {people.path}; correct `people[{index}].path` or add the file.")
    try:
        files = [intake.staging.describe(path, config.folder) for path in paths]
    except RefusedFileError as error:
        raise InputError(f"The traits of `people[{index}].path` cannot be read: {error.detail}.") from error
    intake.ask(files, people)
    return files


def _load(warehouse: DuckDBEngine, intake: Intake, file: InputFile, people: People, zone: str) -> Counts:
    source = _source(people, zone)
    try:
        with read_records(warehouse, intake, file, source) as raw:
            return _insert(warehouse, file, people, raw, source.timezone)
    except RefusedFileError as error:
        raise InputError(f"The traits in {file.name} cannot be read: {error.detail}.") from error
    finally:
        intake.release(file, people)


def _source(people: People, zone: str) -> Source:
    return Source(
        format=people.format,
        path=people.path,
        encoding=people.encoding,
        delimiter=people.delimiter,
        quote=people.quote,
        timezone=people.timezone or zone,
    )


def _insert(warehouse: DuckDBEngine, file: InputFile, people: People, raw: RawRecords, zone: str) -> Counts:
    warehouse.execute(f"create or replace temp table trait_records as {_select(people, Fields(raw), zone)}")
    erased = _take_out_erased(warehouse)
    warehouse.execute(_QUARANTINE, [file.name, file.name])
    for trait in range(len(people.traits)):
        name = literal(people.traits[trait])
        warehouse.execute(
            f"insert into landed.traits select distinct md5_number_lower('u:' || user_id), user_id, {name}, t{trait}, "
            "valid_from from trait_records where reason is null"
        )
    bad = warehouse.count("trait_records", "reason is not null") + warehouse.count("raw_rejects")
    good = warehouse.count("trait_records", "reason is null")
    return Counts(record=good + bad + erased, accepted=good, quarantined=bad, erased=erased)


def _take_out_erased(warehouse: DuckDBEngine) -> int:
    """Take records of people who were erased out of `trait_records` and `raw_rejects` and say how many they were."""
    if not warehouse.count("erased_ids"):
        return 0
    before = warehouse.count("trait_records") + warehouse.count("raw_rejects")
    warehouse.execute("delete from trait_records where is_erased_user(user_id)")
    for table, condition in (("trait_records", "reason is not null"), ("raw_rejects", "true")):
        find_naming(warehouse, f"select rowid as row_id, raw as text from {table} where {condition}")
        warehouse.execute(f"delete from {table} where rowid in (select row_id from naming_texts)")
    return before - warehouse.count("trait_records") - warehouse.count("raw_rejects")


_QUARANTINE = """
insert into landed.quarantine
select 0, ?, source_row, reason, null, raw from trait_records where reason is not null
union all
select 0, ?, source_row, reason, nullif(detail, ''), raw from raw_rejects
"""


def _select(people: People, fields: Fields, zone: str) -> str:
    dated = [people.valid_from] if people.valid_from else []
    check_header(fields, [people.user_id, *people.traits, *dated])
    user, at = fields.text(people.user_id), "cast(null as timestamp)"
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
                when user_id is null then 'no_identifier'
                when is_dated and valid_from is null then 'bad_time'
            end as reason
        from (
            select source_row, {user} as user_id, {at} as valid_from, {given} as is_dated, {traits},
                {shown(fields.raw)} as raw
            from raw_records
        )
    """
