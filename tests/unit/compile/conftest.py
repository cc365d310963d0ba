from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

import pyarrow as pa
import pytest

from journeyflow.config import Config, load_config
from journeyflow.config.sources import CANONICAL_COLUMNS
from journeyflow.engines import DuckDBEngine

EVENT_TYPES = {
    "event_ix": pa.int64(),
    "event_id": pa.string(),
    "source": pa.string(),
    "occurred_at": pa.timestamp("us"),
    "device_key": pa.uint64(),
    "user_key": pa.uint64(),
    "sequence": pa.int64(),
    "revenue_amount": pa.decimal128(18, 4),
}
"""Columns of `sources.events` with their types; all others that a source may fill are texts."""
EVENT_TYPES |= {
    name: pa.string() for name in (*CANONICAL_COLUMNS, "properties") if name not in {*EVENT_TYPES, "received_at"}
}
WEB = {"format": "parquet", "path": "a", "columns": {"occurred_at": "t", "user_id": "u", "event_name": "e"}}


@pytest.fixture
def engine() -> Iterator[DuckDBEngine]:
    with DuckDBEngine(threads=1) as engine:
        yield engine


@pytest.fixture
def configured() -> Callable[..., Config]:
    """Give a configuration with one source `web` and the given sections."""
    return lambda **sections: load_config({"sources": {"web": WEB}, **sections})


@pytest.fixture
def land(engine: DuckDBEngine) -> Callable[..., None]:
    """Register `sources.events` with the given events, numbered from 1."""

    def landed(*events: Mapping[str, Any]) -> None:
        start = {"source": "web", "event_name": "page_view", "occurred_at": datetime(2026, 1, 1)}
        rows = [{**start, "event_ix": n, "event_id": str(n), **event} for n, event in enumerate(events, 1)]
        arrays = [pa.array([row.get(name) for row in rows], type=kind) for name, kind in EVENT_TYPES.items()]
        engine.register("sources.events", pa.table(arrays, names=list(EVENT_TYPES)))

    return landed
