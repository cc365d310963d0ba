"""From `raw_records` to `judged_records`: a chain of temporary views, so that no record is written twice."""

from __future__ import annotations

from datetime import datetime, timedelta

import pyarrow as pa

from journeyflow.config import Config
from journeyflow.config.conditions import ALWAYS
from journeyflow.config.inputs import MAPPED_FORMATS, Source
from journeyflow.engines import DuckDBEngine
from journeyflow.ingest.adapters import load_adapter
from journeyflow.ingest.landing import judged_select
from journeyflow.ingest.mapping import Fields, mapped_select
from journeyflow.ingest.readers.raw import RawRecords
from journeyflow.ingest.showing import shown
from journeyflow.ingest.typed import typed_select
from journeyflow.ingest.warehouse import packaged_sql

FLOOR = datetime(2000, 1, 1)
"""Events before this day are taken for clock errors."""
DEFAULT_CHANNEL = "web"
CLEANING = 2
"""Counts up when `cleaned.sql` keeps less or other than before: all files are then read again."""


def prepare(warehouse: DuckDBEngine, config: Config, name: str, raw: RawRecords, first_loaded_at: datetime) -> None:
    """Make the views `canonical_records`, `typed_records`, `cleaned_records`, `judged_records` and `shown_records`.

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
    _view(warehouse, "judged_records", judged_select(config.privacy.keep_query_params, _filter(config, name)))
    _view(warehouse, "shown_records", f"select record_ix, {shown(raw)} as raw from raw_records")


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
    from journeyflow.compile import source_filter

    return source_filter(config, name)
