"""Type, clean and validate records: from parsed to validated records, as temporary views."""

from __future__ import annotations

from datetime import datetime, timedelta

import pyarrow as pa

from journeyflow.config import Config
from journeyflow.config.conditions import ALWAYS
from journeyflow.config.sources import MAPPED_FORMATS, UTM_COLUMNS, Source
from journeyflow.engines import DuckDBEngine
from journeyflow.ingest.adapters import load_adapter
from journeyflow.ingest.mapping import Fields, literal, mapped_select, typed_select
from journeyflow.ingest.readers.records import RawRecords
from journeyflow.state.warehouse import packaged_sql


def raw_text_select(raw: RawRecords) -> str:
    """Return SQL of a record of `raw_records` as one text."""
    if raw.shape == "json":
        return "cast(case when parent is null then record else json_merge_patch(parent, record) end as varchar)"
    if raw.shape == "columns":
        pairs = ", ".join(f"{literal(name)}, c{index}" for index, name in enumerate(raw.names))
        return f"cast(json_object({pairs}) as varchar)"
    return "cast(null as varchar)"  # A log line holds an address; its adapter says what may be kept of it.


FLOOR = datetime(2000, 1, 1)
"""Events before this day are taken for clock errors."""
DEFAULT_CHANNEL = "web"
CLEANING = 2
"""Counts up when `cleaned.sql` keeps less or other than before: all files are then read again."""


def prepare(warehouse: DuckDBEngine, config: Config, name: str, raw: RawRecords, first_loaded_at: datetime) -> None:
    """Make the views `canonical_records`, `typed_records`, `cleaned_records`, `validated_records` and `raw_texts`.

    Parameters
    ----------
    warehouse : DuckDBEngine
        Holds `raw_records`.
    config : Config
        The project.
    name : str
        Name of the source.
    raw : RawRecords
        What the reader said of the file.
    first_loaded_at : datetime
        Naive UTC; when the file's content was first met, which bounds the times of sources that state no arrival.

    Raises
    ------
    RefusedFileError
        When the file lacks a column.
    """
    source = config.sources[name]
    _settings(warehouse, config, name, first_loaded_at)
    _view(warehouse, "canonical_records", _canonical(warehouse, source, raw))
    channel = source.channel.constant if source.channel else None
    columns = warehouse.columns("canonical_records")
    _view(warehouse, "typed_records", typed_select(columns, source.timezone, channel))
    _view(warehouse, "cleaned_records", packaged_sql("cleaned"))
    _view(warehouse, "validated_records", validated_select(config.privacy.keep_query_params, _filter(config, name)))
    _view(warehouse, "raw_texts", f"select record_ix, {raw_text_select(raw)} as raw from raw_records")


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


def _filter(config: Config, name: str) -> str | None:
    if config.sources[name].where == ALWAYS:
        return None
    from journeyflow.compile.staging_events import source_filter

    return source_filter(config, name)


def validated_select(kept_parameters: tuple[str, ...], where: str | None) -> str:
    """Return the SELECT of `validated_records`: cleaned records, their campaign parameters, and whether they are kept.

    Parameters
    ----------
    kept_parameters : tuple of str
        Parameters of page addresses that may be kept; only campaign ones have a column.
    where : str or None
        Condition over canonical columns that tells the records to keep.
    """
    replaced = [f"{_from_query(name)} as {name}" for name in UTM_COLUMNS if name in kept_parameters]
    replace = f" replace ({', '.join(replaced)})" if replaced else ""
    kept = f"coalesce(({where}), false)" if where else "true"
    return f"select *, {kept} as is_kept from (select * exclude (query){replace} from cleaned_records)"


def _from_query(name: str) -> str:
    found = f"nullif(url_decode(replace(regexp_extract(query, '(?:^|&){name}=([^&]*)', 1), '+', ' ')), '')"
    found = f"without_emails({found})"
    return f"case when {name} is null and contains(query, '{name}=') then {found} else {name} end"
