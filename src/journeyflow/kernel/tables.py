"""The relations `kernel.*` as Arrow tables; `sql/kernel/*.yml` declares their columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from journeyflow.models.metadata import arrow_schema

RELATIONS = (
    "kernel.events",
    "kernel.classifications",
    "kernel.event_type_persons",
    "kernel.sessions",
    "kernel.journeys",
    "kernel.persons",
    "kernel.person_event_counts",
    "kernel.stage_visits",
    "kernel.map_journeys",
    "kernel.stage_interactions",
    "kernel.funnel_units",
    "kernel.funnel_reaches",
    "kernel.funnel_days",
    "kernel.funnel_day_steps",
)

Column = npt.NDArray[Any] | tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]
"""The values of a column, alone or with a mask that is true where they are null."""


def table(name: str, columns: Mapping[str, Column]) -> pa.Table:
    """Return a relation's rows from arrays; microseconds become timestamps, days since 1970 dates."""
    schema = arrow_schema(name)
    return pa.table([_array(columns[field.name], field.type) for field in schema], schema=schema)


def empty(name: str) -> pa.Table:
    """Return a relation without rows."""
    return arrow_schema(name).empty_table()


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
