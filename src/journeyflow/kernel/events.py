"""The events of some whole components as arrays, in the kernel's order."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

NO_SEQUENCE = np.iinfo(np.int64).min
COLUMNS = {
    "event_ix": np.int64,
    "component_key": np.uint64,
    "device_key": np.uint64,
    "person_key": np.uint64,
    "is_undecided": np.bool_,
    "user_key": np.uint64,
    "session_key": np.uint64,
    "source_ix": np.int32,
    "sequence": np.int64,
    "occurred_us": np.int64,
    "kind_ix": np.int32,
    "is_offline": np.bool_,
}


@dataclass(frozen=True, eq=False)
class EventArrays:
    """Columns of `journeys.event_stream`, ordered by component_key, occurred_us, sequence (nulls last), event_id.

    Absent keys are 0, an absent sequence is `NO_SEQUENCE`.
    """

    event_ix: npt.NDArray[np.int64]
    component_key: npt.NDArray[np.uint64]
    device_key: npt.NDArray[np.uint64]
    person_key: npt.NDArray[np.uint64]
    is_undecided: npt.NDArray[np.bool_]
    user_key: npt.NDArray[np.uint64]
    session_key: npt.NDArray[np.uint64]
    source_ix: npt.NDArray[np.int32]
    sequence: npt.NDArray[np.int64]
    occurred_us: npt.NDArray[np.int64]
    kind_ix: npt.NDArray[np.int32]
    is_offline: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.event_ix)

    def slice(self, start: int, stop: int) -> EventArrays:
        """Return the events in `[start, stop)` without copying."""
        return EventArrays(**{each.name: getattr(self, each.name)[start:stop] for each in fields(self)})


def concatenated(parts: list[EventArrays]) -> EventArrays:
    """Return the events of `parts`, one after another."""
    if len(parts) == 1:
        return parts[0]
    return EventArrays(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in COLUMNS})


def from_arrow(batch: pa.RecordBatch | pa.Table) -> EventArrays:
    """Return the columns of an Arrow batch as arrays.

    Parameters
    ----------
    batch : pyarrow.RecordBatch or pyarrow.Table
        Has the columns of `journeys.event_stream`, in the kernel's order.
    """
    return EventArrays(**{name: _column(batch, name, dtype) for name, dtype in COLUMNS.items()})


def _column(batch: pa.RecordBatch | pa.Table, name: str, dtype: type) -> npt.NDArray[Any]:
    column = batch.column(name)
    if column.null_count:
        column = column.fill_null(int(NO_SEQUENCE) if name == "sequence" else 0)
    values = column.to_numpy() if isinstance(column, pa.ChunkedArray) else column.to_numpy(zero_copy_only=False)
    # A copy: Arrow's own memory is read-only, for which numba would compile everything once more.
    return np.array(values, dtype=dtype)
