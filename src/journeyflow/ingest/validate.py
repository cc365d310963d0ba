"""Type, clean and validate records: the temporary views from `raw_records` to `validated_records`."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import pyarrow as pa

from journeyflow.config import Config
from journeyflow.config.conditions import ALWAYS
from journeyflow.config.sources import MAPPED_FORMATS, UTM_COLUMNS, Source
from journeyflow.engines import DuckDBEngine
from journeyflow.engines.base import text as literal
from journeyflow.ingest.adapters import load_adapter
from journeyflow.ingest.mapping import NULL_IDS, Fields, mapped_select, typed_select
from journeyflow.ingest.readers.records import RawRecords, json_path
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
