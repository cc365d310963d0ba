"""Funnels whose unit is a configured property: a second pass, ordered by the property's value."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from journeyflow.engines import Engine
from journeyflow.kernel.events import NO_SEQUENCE
from journeyflow.kernel.funnels import run_funnel
from journeyflow.kernel.journeys import unpack_stages
from journeyflow.kernel.loops.grouping import rank_units
from journeyflow.kernel.plan import KernelPlan
from journeyflow.kernel.units import Units, linked

BATCH_ROWS = 250_000
_COLUMNS = ("unit_key", "event_ix", "source_ix", "occurred_us", "person_key", "journey_index", "label_key")


def property_tables(engine: Engine, plan: KernelPlan, chunk_rows: int) -> Iterator[tuple[str, list[pa.Table]]]:
    """Yield rows of `kernel.funnel_*` for the funnels whose unit is a property.

    Reads `kernel.events` for the person, journey, session and stages of each event, so it comes after the first pass.
    """
    for column in dict.fromkeys(funnel.unit for funnel in plan.funnels if funnel.unit not in ("person", "session")):
        funnels = [funnel for funnel in plan.funnels if funnel.unit == column]
        position = 0
        for rows in _whole_units(engine, column, chunk_rows):
            units = _units(rows, plan, position)
            position += rows.num_rows
            for funnel in funnels:
                for name, table in run_funnel(units, funnel, plan).items():
                    yield name, [table]


def _select(column: str) -> str:
    return f"""
        select
            md5_number_lower(cast(staged.{column} as varchar)) as unit_key, staged.event_ix, staged.source_ix,
            staged.sequence,
            date_diff('microsecond', timestamp '1970-01-01 00:00:00', staged.occurred_at) as occurred_us,
            labelled.person_key, labelled.journey_index, labelled.session_ix, labelled.label_key
        from staging.events as staged
        inner join kernel.events as labelled on labelled.event_ix = staged.event_ix
        where staged.{column} is not null
        order by unit_key, occurred_us, staged.sequence nulls last, staged.event_id, staged.source_ix
    """


def _whole_units(engine: Engine, column: str, chunk_rows: int) -> Iterator[pa.Table]:
    held: list[pa.RecordBatch] = []
    held_rows = 0
    for batch in engine.stream(_select(column), BATCH_ROWS):
        held.append(batch)
        held_rows += batch.num_rows
        if held_rows < chunk_rows:
            continue
        together = pa.Table.from_batches(held)
        keys = together.column("unit_key").to_numpy()
        cut = int(np.searchsorted(keys, keys[-1], side="left"))
        if cut > 0:
            yield together.slice(0, cut)
            together = together.slice(cut)
        held, held_rows = together.to_batches(), together.num_rows
    if held_rows:
        yield pa.Table.from_batches(held)


def _units(rows: pa.Table, plan: KernelPlan, position: int) -> Units:
    # Copies: Arrow's own memory is read-only, for which numba would compile everything once more.
    sequence = np.array(rows.column("sequence").fill_null(int(NO_SEQUENCE)).to_numpy())
    arrays = {name: np.array(rows.column(name).to_numpy()) for name in _COLUMNS}
    keys = arrays["unit_key"]
    start = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1], [True]]))
    session = _dense(rows.column("session_ix"))
    order = np.arange(len(keys), dtype=np.int32)
    label = arrays["label_key"]
    return Units(
        start,
        keys[start[:-1]],
        rank_units(
            order, start, arrays["occurred_us"], arrays["source_ix"].astype(np.int32, copy=False), sequence, NO_SEQUENCE
        ),
        arrays["occurred_us"],
        (label % plan.kind_room).astype(np.int32),
        unpack_stages(label, plan),
        session,
        arrays["event_ix"],
        np.arange(len(keys), dtype=np.int64) + (position + 1),
        arrays["person_key"],
        arrays["journey_index"].astype(np.int32, copy=False),
        *linked(start, session),
    )


def _dense(sessions: pa.ChunkedArray) -> npt.NDArray[np.int32]:
    """Number the sessions of a chunk from 0; -1 for none."""
    values = sessions.fill_null(-1).to_numpy()
    _, number = np.unique(values, return_inverse=True)
    first = 1 if (values == -1).any() else 0
    return (number - first).astype(np.int32)
