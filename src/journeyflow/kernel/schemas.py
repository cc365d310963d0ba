"""Columns of the relations that the kernel fills."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_KEY = pa.uint64()
_IX = pa.int64()
_INDEX = pa.int32()
_COUNT = pa.int64()
_AT = pa.timestamp("us")

SCHEMAS: dict[str, pa.Schema] = {
    name: pa.schema(list(columns.items()))
    for name, columns in {
        "kernel.events": {
            "event_ix": _IX, "person_key": _KEY, "journey_index": _INDEX, "session_ix": _IX, "classification_key": _IX,
        },
        "kernel.classifications": {
            "classification_key": _IX, "model_index": _INDEX, "event_type_ix": _INDEX, "stage_index": _INDEX, "rule_index": _INDEX,
            "event_count": _COUNT, "first_seen_at": _AT, "last_seen_at": _AT,
        },
        "kernel.event_type_persons": {
            "model_index": _INDEX, "event_type_ix": _INDEX, "rule_index": _INDEX, "person_count": _COUNT,
        },
        "kernel.sessions": {
            "session_ix": _IX, "device_key": _KEY, "person_key": _KEY, "session_index": _INDEX,
            "started_at": _AT, "ended_at": _AT, "event_count": _COUNT,
        },
        "kernel.journeys": {
            "person_key": _KEY, "journey_index": _INDEX, "entered_at": _AT, "last_event_at": _AT, "first_event_ix": _IX,
            "first_event_type_ix": _INDEX, "event_count": _COUNT, "session_count": _COUNT,
        },
        "kernel.persons": {
            "person_key": _KEY, "first_event_at": _AT, "last_event_at": _AT, "event_count": _COUNT,
            "session_count": _COUNT, "purchase_count": _COUNT, "journey_count": _COUNT,
        },
        "kernel.person_event_counts": {"person_key": _KEY, "event_name": pa.string(), "event_count": _COUNT},
        "kernel.stage_visits": {
            "model_index": _INDEX, "person_key": _KEY, "journey_index": _INDEX, "visit_index": _INDEX,
            "stage_index": _INDEX, "next_stage_index": _INDEX, "entered_at": _AT, "left_at": _AT, "last_seen_at": _AT,
        },
        "kernel.map_journeys": {
            "model_index": _INDEX, "person_key": _KEY, "journey_index": _INDEX, "entered_at": _AT, "month": pa.string(),
            "depth": _INDEX, "visited_stages": pa.string(), "is_pending": pa.bool_(), "is_matured": pa.bool_(),
            "is_furthest": pa.bool_(), "is_furthest_in_month": pa.bool_(),
        },
        "kernel.stage_interactions": {
            "model_index": _INDEX, "person_key": _KEY, "journey_index": _INDEX, "stage_index": _INDEX,
            "exposure_ix": _INDEX, "touch_count": _INDEX, "longest_wait_seconds": pa.float64(),
        },
        "kernel.stage_attempts": {
            "model_index": _INDEX, "person_key": _KEY, "journey_index": _INDEX, "stage_index": _INDEX,
            "attempt_index": _INDEX, "opened_at": _AT, "exposure_ix": _INDEX, "month_number": _INDEX,
            "is_advanced": pa.bool_(), "is_matured": pa.bool_(), "touch_count": _INDEX,
            "longest_wait_seconds": pa.float64(),
        },
        "kernel.funnel_units": {
            "funnel_index": _INDEX, "attempt_ix": _IX, "unit_key": _KEY, "person_key": _KEY, "journey_index": _INDEX,
            "entered_at": _AT, "entry_day": pa.date32(), "depth": _INDEX, "closes_at": _AT, "is_pending": pa.bool_(),
            "is_matured": pa.bool_(), "is_tie_decided": pa.bool_(), "is_in_order": pa.bool_(),
        },
        "kernel.funnel_reaches": {
            "funnel_index": _INDEX, "attempt_ix": _IX, "step_index": _INDEX, "reached_at": _AT, "event_ix": _IX,
            "is_visited": pa.bool_(), "visited_at": _AT, "next_at": _AT, "last_event_type_ix": _INDEX, "last_at": _AT,
            "next_event_type_ix": _INDEX,
        },
        "kernel.funnel_days": {
            "funnel_index": _INDEX, "unit_key": _KEY, "person_key": _KEY, "journey_index": _INDEX,
            "entered_at": _AT, "entry_day": pa.date32(), "depth": _INDEX, "is_pending": pa.bool_(),
            "pending_until": _AT, "is_matured": pa.bool_(),
        },
    }.items()
}  # fmt: skip
"""Relation → its columns in order; meanings are in `sql/kernel/`."""


Column = npt.NDArray[Any] | tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]


def table(name: str, columns: Mapping[str, Column]) -> pa.Table:
    """Return a relation's rows from arrays; microseconds become timestamps, days since 1970 dates.

    Parameters
    ----------
    name : str
        One of `SCHEMAS`.
    columns : mapping
        Every column of the relation: an array, or a (values, is_null) pair.
    """
    schema = SCHEMAS[name]
    return pa.table([_array(columns[field.name], field.type) for field in schema], schema=schema)


def empty(name: str) -> pa.Table:
    """Return a relation without rows."""
    return SCHEMAS[name].empty_table()


def _array(values: Column, kind: pa.DataType) -> pa.Array:
    mask = None
    if isinstance(values, tuple):
        values, mask = values
    if isinstance(values, pa.Array):
        return values
    plain = pa.int64() if pa.types.is_timestamp(kind) else pa.int32() if pa.types.is_date(kind) else kind
    if not pa.types.is_string(plain):
        values = values.astype(plain.to_pandas_dtype(), copy=False)
    return pa.array(values, type=plain, mask=mask).cast(kind)
