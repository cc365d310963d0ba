"""Type, clean and validate records; insert them into `raw.events`, deduplicate, quarantine, reconcile counts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from operator import add

import pyarrow as pa

from journeyflow.config import Config
from journeyflow.config.conditions import ALWAYS
from journeyflow.config.sources import CANONICAL_COLUMNS, MAPPED_FORMATS, NULL_IDS, UTM_COLUMNS, Source
from journeyflow.engines import DuckDBEngine
from journeyflow.engines.base import text as literal
from journeyflow.errors import JourneyflowError
from journeyflow.ingest.adapters import load_adapter
from journeyflow.ingest.files import InputFile
from journeyflow.ingest.mapping import TIMES, Fields, mapped_select, typed_select, with_sorted_keys
from journeyflow.ingest.parser.records import PLACE_BITS, RawRecords, json_path
from journeyflow.ingest.suppression import split_suppressed
from journeyflow.state.warehouse import packaged_sql

FLOOR = datetime(2000, 1, 1)
"""Events before this day are clock errors."""
DEFAULT_CHANNEL = "web"
STORED_RECORDS = 10_000
"""Up to as many records are validated into a table: planning validation costs more than that, in each statement again.
Of more, each statement validates the columns that it reads."""
CLEANING = 6
"""Version of the rules of mapping and cleaning, and of the adapters: a higher one has all files read again."""


def prepare(warehouse: DuckDBEngine, config: Config, name: str, raw: RawRecords, first_loaded_at: datetime) -> None:
    """Create the views `canonical_records`, `validated_records` and `raw_texts` over `raw_records`.

    Few records are stored as they were validated, see `STORED_RECORDS`.

    `first_loaded_at`, naive UTC, is when the content was first loaded: it bounds event times where the source `name`
    states no arrival. RefusedFileError when the file lacks a column.
    """
    source = config.sources[name]
    _settings(warehouse, config, name, first_loaded_at)
    _view(warehouse, "canonical_records", _canonical(warehouse, source, raw))
    channel = source.channel.constant if source.channel else None
    query_params = config.privacy.keep_query_params
    typed = with_campaign(typed_select(warehouse.columns("canonical_records"), source.timezone, channel), query_params)
    validated = validated_select(query_params, _filter(config, name))
    steps = f"with typed_records as ({typed}), cleaned_records as (\n{packaged_sql('cleaned')}\n)"
    select = f"{steps} {validated}"
    if raw.record_count <= STORED_RECORDS:
        warehouse.execute(f"create or replace temp table stored_records as {select}", model="stored_records")
        select = "select * from stored_records"
    _view(warehouse, "validated_records", select)
    _view(warehouse, "raw_texts", f"select record_ix, {raw_text_select(raw)} as raw from raw_records")


def with_campaign(typed: str, query_params: tuple[str, ...]) -> str:
    """Return a SELECT of typed records with the query of their page, and those campaign columns that it may fill."""
    query = "case when contains(page_path, '?') then regexp_extract(page_path, '[?]([^#]*)', 1) end as query"
    filled = [
        f"case when {name} is null and contains(query, '{name}=') then {_from_query(name)} else {name} end as {name}"
        for name in UTM_COLUMNS
        if name in query_params
    ]
    replace = f" replace ({', '.join(filled)})" if filled else ""
    return f"select *{replace} from (select *, {query} from ({typed}))"


def validated_select(query_params: tuple[str, ...], where: str | None) -> str:
    """Return the SELECT of `validated_records` over `cleaned_records`.

    It adds the allowed `query_params` but those of campaigns as properties, and `is_kept`: whether the source's filter
    `where` keeps the record.
    """
    others = [name for name in query_params if name not in UTM_COLUMNS]
    replace = f" replace ({_with_parameters(others)} as properties)" if others else ""
    kept = f"coalesce(({where}), false)" if where else "true"
    return f"select *, {kept} as is_kept from (select * exclude (query){replace} from cleaned_records)"


def raw_text_select(raw: RawRecords) -> str:
    """Return SQL of a record of `raw_records` as one text."""
    if raw.shape == "json":
        return "cast(case when parent is null then record else json_merge_patch(parent, record) end as varchar)"
    if raw.shape == "columns":
        texts = (
            # Bytes that are text, as the record's person may be named there.
            f"coalesce(try(decode(c{index})), cast(c{index} as varchar))" if sql_type == "BLOB" else f"c{index}"
            for index, sql_type in enumerate(raw.types)
        )
        pairs = ", ".join(f"{literal(name)}, {text}" for name, text in zip(raw.names, texts, strict=True))
        return f"cast(json_object({pairs}) as varchar)"
    return "cast(null as varchar)"  # A log line holds an address; its adapter says what may be kept of it.


def _canonical(warehouse: DuckDBEngine, source: Source, raw: RawRecords) -> str:
    if source.format in MAPPED_FORMATS:
        return mapped_select(source, Fields(raw))
    adapter = load_adapter(source.format)
    _view(warehouse, "raw", adapter.prepared_raw(raw))
    return adapter.select


def _view(warehouse: DuckDBEngine, name: str, select: str) -> None:
    warehouse.execute(f"create or replace temp view {name} as {select}", model=name)


def _settings(warehouse: DuckDBEngine, config: Config, name: str, first_loaded_at: datetime) -> None:
    source = config.sources[name]
    set_null_ids(warehouse, config)
    row = {
        "source": name,
        "first_loaded_at": first_loaded_at,
        "clock_skew_us": config.clock_skew // timedelta(microseconds=1),
        "floor_at": FLOOR,
        "default_channel": DEFAULT_CHANNEL,
    }
    warehouse.scratch("load_settings", pa.Table.from_pylist([row]).to_reader())
    renames = pa.table(
        {
            "old_name": pa.array(source.rename.keys(), pa.string()),
            "new_name": pa.array(source.rename.values(), pa.string()),
        }
    )
    warehouse.scratch("load_renames", renames.to_reader())


def set_null_ids(warehouse: DuckDBEngine, config: Config) -> None:
    """Set the session variables of `identifiers.sql`: the texts that are no identifier."""
    found = list(dict.fromkeys([*NULL_IDS, *(text.strip().lower() for text in config.null_ids)]))
    warehouse.execute(f"set variable null_ids = [{', '.join(map(literal, found))}]")
    warehouse.execute(f"set variable null_id_length = {max(map(len, found))}")


def _filter(config: Config, name: str) -> str | None:
    if config.sources[name].where == ALWAYS:
        return None
    from journeyflow.compile.staging_events import source_filter

    return source_filter(config, name)


def _with_parameters(names: list[str]) -> str:
    """Return SQL of the properties with parameters of the query; a property of the same name stays."""
    is_there = " or ".join(f"contains(query, {literal(name + '=')})" for name in names)
    # A patch by null would remove the property.
    pairs = ", ".join(
        f"{literal(name)}, case when not coalesce(json_exists(properties, {literal(json_path(name))}), false) "
        f"then without_emails({_from_query(name)}) end"
        for name in names
    )
    found = f"properties_cut(json_merge_patch('{{}}', json_object({pairs})))"
    return f"case when {is_there} then json_merge_patch(coalesce(properties, '{{}}'), {found}) else properties end"


def _from_query(name: str) -> str:
    pattern = literal(f"(?:^|&){re.escape(name)}=([^&]*)")
    return f"nullif(url_decode(replace(regexp_extract(query, {pattern}, 1), '+', ' ')), '')"


_REST = [name for name in CANONICAL_COLUMNS if name not in ("event_id", *TIMES)]
COLUMNS = ", ".join(("event_id", "source", *TIMES, "device_key", "user_key", *_REST, "properties"))
"""Columns of `raw.events` between the keys and the lineage."""
CONTENT = ", ".join(("occurred_at", *(name for name in _REST if name != "sequence"), "properties"))
"""Columns that are equal in copies of one event; its arrival is not among them."""


@dataclass(frozen=True)
class RecordCounts:
    """Outcomes of the records of a file; `conflicting` ones are among the duplicates."""

    record: int = 0
    accepted: int = 0
    quarantined: int = 0
    duplicate: int = 0
    conflicting: int = 0
    filtered: int = 0
    erased: int = 0

    def __add__(self, other: RecordCounts) -> RecordCounts:
        """Add outcome by outcome."""
        return RecordCounts(*map(add, vars(self).values(), vars(other).values()))


def next_event_ix(warehouse: DuckDBEngine) -> int:
    """Return the number of the next inserted event."""
    found = warehouse.rows("select coalesce(max(event_ix) + 1, 0) as ix from raw.events")
    return int(found["ix"][0].as_py())


def insert_records(
    warehouse: DuckDBEngine, files: Sequence[tuple[InputFile, int]], raw: RawRecords
) -> list[RecordCounts]:
    """Insert the prepared records of some files, duplicates included; return one count per file.

    `files` are in reading order, each with its number in the registry. Records of erased persons are counted and left
    in `erased_records`. The caller opens the transaction, deduplicates and writes the registry. JourneyflowError when
    the counts do not add up to the records of a file: a defect of this program, not of the file.
    """
    first_ixs = list(accumulate(raw.spans[:-1], initial=next_event_ix(warehouse)))
    numbers = [file_ix for _, file_ix in files]
    split_suppressed(warehouse, raw)
    erased = _by_place(warehouse, _ERASED)
    validated = [
        _Validated(record_count - reject_count - erased.get(place, _Validated()).readable_count)
        for place, (record_count, reject_count) in enumerate(zip(raw.record_counts, raw.reject_counts, strict=True))
    ]
    warehouse.execute(_insert(first_ixs, numbers, _WITH_ID))
    # Validation is the expensive part: where every record was inserted, it need not run a second time for counting.
    if sum(_counted(warehouse, "raw.events", numbers).values()) != sum(each.readable_count for each in validated):
        found = _by_place(warehouse, _COUNT)
        validated = [found.get(place, _Validated()) for place in range(len(files))]
        if any(each.without_id_count for each in validated):
            warehouse.execute(_repeated(raw))
            warehouse.execute(_insert(first_ixs, numbers, f"({_identified(raw)})"))
    _quarantine(warehouse, files, raw, has_bad_records=any(each.bad_count for each in validated))
    return _reconciled_counts(warehouse, files, raw, validated, erased)


def deduplicate(warehouse: DuckDBEngine, first_ix: int) -> dict[int, RecordCounts]:
    """Keep one row of every event that was inserted from `first_ix` on and has several.

    Return the change of the counts by number of the file, as if the files had been deduplicated one by one.
    """
    warehouse.execute(packaged_sql("duplicates").format(first_ix=first_ix, content=CONTENT))
    if not warehouse.count("duplicate_versions"):
        return {}
    warehouse.execute(
        "delete from raw.events where event_ix in (select event_ix from duplicate_versions where not is_winner)"
    )
    found = warehouse.rows("select file_ix, duplicate_count, conflicting_count from duplicate_counts").to_pylist()
    return {
        row["file_ix"]: RecordCounts(
            accepted=-row["duplicate_count"],
            duplicate=row["duplicate_count"],
            conflicting=row["conflicting_count"],
        )
        for row in found
    }


@dataclass(frozen=True)
class _Validated:
    """Counts of the readable records of one file."""

    readable_count: int = 0
    filtered_count: int = 0
    bad_count: int = 0
    without_id_count: int = 0
    record_count: int = 0


def _by_place(warehouse: DuckDBEngine, select: str) -> dict[int, _Validated]:
    rows = warehouse.rows(select).to_pylist()
    return {row.pop("place"): _Validated(**row) for row in rows}


def _reconciled_counts(
    warehouse: DuckDBEngine,
    files: Sequence[tuple[InputFile, int]],
    raw: RawRecords,
    validated: Sequence[_Validated],
    erased: Mapping[int, _Validated],
) -> list[RecordCounts]:
    """Count the outcomes of each file's records from the rows that the warehouse now holds."""
    numbers = [file_ix for _, file_ix in files]
    inserted = _counted(warehouse, "raw.events", numbers)
    quarantined = _counted(warehouse, "raw.quarantine", numbers)
    counts = []
    for place, (file, file_ix) in enumerate(files):
        gone = erased.get(place, _Validated())
        count = RecordCounts(
            record=validated[place].readable_count + raw.reject_counts[place] + gone.readable_count,
            accepted=inserted.get(file_ix, 0),
            quarantined=quarantined.get(file_ix, 0),
            filtered=validated[place].filtered_count,
            erased=gone.record_count,
        )
        _reconcile(count, raw.record_counts[place], file)
        counts.append(count)
    return counts


def _reconcile(counts: RecordCounts, record_count: int, file: InputFile) -> None:
    total = counts.accepted + counts.quarantined + counts.duplicate + counts.filtered + counts.erased
    if total != counts.record or record_count != counts.record:
        raise JourneyflowError(
            f"The records of {file.name} do not add up: {counts.record} read, {total} accounted for. "
            "Nothing of the file was kept; please report this."
        )


def _counted(warehouse: DuckDBEngine, table: str, numbers: Sequence[int]) -> dict[int, int]:
    listed = ", ".join(map(str, numbers))
    # The bounds let the scan skip row groups of other files.
    select = f"""
        select file_ix, count(*) as n from {table}
        where file_ix between {min(numbers)} and {max(numbers)} and file_ix in ({listed}) group by file_ix
    """
    return {row["file_ix"]: row["n"] for row in warehouse.rows(select).to_pylist()}


_MASK = (1 << PLACE_BITS) - 1
_PLACE = f"record_ix >> {PLACE_BITS}"
_PLACE_OF_REJECT = f"source_row >> {PLACE_BITS}"
_ERASED = f"""
select coalesce({_PLACE}, {_PLACE_OF_REJECT}) as place, count(*) as record_count, count(record_ix) as readable_count
from erased_records
group by place
"""
_COUNT = f"""
select
    {_PLACE} as place,
    count(*) as readable_count,
    count(*) filter (where not is_kept) as filtered_count,
    count(*) filter (where is_kept and reason is not null) as bad_count,
    count(*) filter (where is_kept and reason is null and event_id is null) as without_id_count
from retained_records
group by place
"""
_WITH_ID = "retained_records where is_kept and reason is null and event_id is not null"


def _insert(first_ixs: Sequence[int], numbers: Sequence[int], source: str) -> str:
    event_ix = f"{_of_file(first_ixs)} + (record_ix & {_MASK})"
    return f"""
        insert into raw.events
        select
            {event_ix}, md5_number(source || '/' || event_id), {COLUMNS}, {_of_file(numbers)}, source_row,
            has_placeholder_id
        from {source}
    """


def _of_file(values: Sequence[int], place: str = _PLACE) -> str:
    """Return SQL of the value of a record's file."""
    return f"{values[0]}" if len(values) == 1 else f"list_extract([{', '.join(map(str, values))}], ({place}) + 1)"


# An event without an id is identified by its content and its ordinal among equal contents of the file: a repeated line
# is a second event, while the same line in two overlapping files is one. Only repeated contents are numbered: a window
# over all rows of a large file would spill them twice.
def _content_hash(raw: RawRecords) -> str:
    content = CONTENT
    if raw.shape == "json":  # The keys of properties from columns are in an order of this program.
        content = ", ".join(with_sorted_keys(name) if name == "properties" else name for name in CONTENT.split(", "))
    return f"md5(coalesce(content, cast(json_array({content}, received_at, sequence) as varchar)))"


def _repeated(raw: RawRecords) -> str:
    return f"""
        create or replace temp table content_ordinals as
        with
        unidentified as (
            select record_ix, {_PLACE} as place, {_content_hash(raw)} as content_hash from retained_records
            where is_kept and reason is null and event_id is null
        ),
        repeated as (select content_hash from unidentified group by content_hash having count(*) > 1)
        select record_ix, row_number() over (partition by place, content_hash order by record_ix) as ordinal
        from unidentified where content_hash in (select content_hash from repeated)
    """


def _identified(raw: RawRecords) -> str:
    return f"""
        select records.* exclude (event_id),
            md5({_content_hash(raw)} || '#' || coalesce(content_ordinals.ordinal, 1)) as event_id
        from retained_records as records
        left join content_ordinals on content_ordinals.record_ix = records.record_ix
        where records.is_kept and records.reason is null and records.event_id is null
    """


LATE_ARRIVAL = "its arrival is later than the first load of its file"
"""Detail of a record of the future whose arrival is wrong too: the clock of a server, so there is an alert."""
_ARRIVES_LATER = """records.reason = 'future' and records.received_at is not null
    and epoch_us(records.received_at) > epoch_us(load_settings.first_loaded_at) + load_settings.clock_skew_us"""


def _quarantine(
    warehouse: DuckDBEngine, files: Sequence[tuple[InputFile, int]], raw: RawRecords, *, has_bad_records: bool
) -> None:
    numbers, names = [file_ix for _, file_ix in files], [[file.name for file, _ in files]]
    if raw.reject_count:
        place = _PLACE_OF_REJECT
        warehouse.execute(
            f"""
            insert into raw.quarantine
            select
                {_of_file(numbers, place)}, list_extract(?, ({place}) + 1), source_row & {_MASK}, reason,
                nullif(detail, ''), raw
            from raw_rejects
            """,
            names,
        )
    if has_bad_records:
        warehouse.execute(
            f"""
            insert into raw.quarantine
            select
                {_of_file(numbers, f"records.{_PLACE}")}, list_extract(?, (records.{_PLACE}) + 1), records.source_row,
                records.reason, case when {_ARRIVES_LATER} then '{LATE_ARRIVAL}' end,
                coalesce(records.quarantine_raw, raw_texts.raw)
            from retained_records as records
            cross join load_settings
            left join raw_texts on raw_texts.record_ix = records.record_ix
            where records.is_kept and records.reason is not null
            """,
            names,
        )
