"""Run the kernel: stream events in chunks of whole components and fill `kernel.*`."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from journeyflow.config import Config
from journeyflow.engines import Engine
from journeyflow.errors import JourneyflowError
from journeyflow.kernel.chunk import Tables, process_chunk
from journeyflow.kernel.events import NO_SEQUENCE, EventArrays, Units, concatenated, from_arrow, linked
from journeyflow.kernel.funnels import run_funnel
from journeyflow.kernel.journeys import rank_units
from journeyflow.kernel.plan import CompiledFunnel, KernelPlan, plan_of
from journeyflow.kernel.stages import unpack_stages
from journeyflow.kernel.tables import RELATIONS, empty
from journeyflow.models.python_models import python_model

CHUNK_ROWS = 250_000
WORKERS = 2
BATCH_ROWS = 125_000
PROPERTY_BATCH_ROWS = 250_000
SUMMED: dict[str, dict[str, str]] = {
    "kernel.classifications": {"event_count": "sum", "first_seen_at": "min", "last_seen_at": "max"},
    "kernel.event_type_persons": {"person_count": "sum"},
}
"""Small relations that every chunk adds to, and how their columns add up."""
STREAM = """
select
    event_ix, component_key, device_key, person_key, is_undecided, user_key, session_key, source_ix, sequence,
    occurred_us, event_type_ix, is_offline
from journeys.event_stream
"""


_PROPERTY_COLUMNS = (
    "unit_key", "event_ix", "source_ix", "occurred_us", "person_key", "journey_index", "classification_key",
)  # fmt: skip


@python_model(*RELATIONS)
def fill_kernel(engine: Engine, config: Config, *, chunk_rows: int = CHUNK_ROWS) -> None:
    """Fill every relation of `kernel.*` from `journeys.event_stream`.

    A chunk has at least `chunk_rows` events and ends with a whole component; its size changes no row. Raises
    JourneyflowError when the stream is not in the kernel's order.

    References
    ----------
    docs/reference/semantics.md, sections 2, 3, 4, 5, 7, 8, 9.
    """
    plan = plan_of(engine, config)
    fill_affected(engine, plan, chunk_rows=chunk_rows)
    for name, tables in property_tables(engine, plan, chunk_rows):
        _append(engine, name, tables)


def fill_affected(engine: Engine, plan: KernelPlan, *, first_position: int = 0, chunk_rows: int = CHUNK_ROWS) -> None:
    """Fill every relation of `kernel.*` but for funnels by property, whose units may span components.

    Sessions and attempts are numbered from `first_position` on, above all numbers in use.
    """
    for name in RELATIONS:
        engine.register(name, empty(name))
    counted: dict[str, list[pa.Table]] = {name: [empty(name)] for name in SUMMED}
    for found in _processed(chunks(engine, chunk_rows), plan, first_position):
        for name, tables in found.items():
            if name in SUMMED:
                counted[name] += tables
            else:
                _append(engine, name, tables)
    for name, tables in counted.items():
        _append(engine, name, [added_up(name, tables)])


def refill_properties(engine: Engine, plan: KernelPlan, *, chunk_rows: int = CHUNK_ROWS) -> None:
    """Replace the rows of funnels by property."""
    for name in (name for name in RELATIONS if name.startswith("kernel.funnel_")):
        for funnel in _property_funnels(plan):
            engine.execute(f"delete from {name} where funnel_index = ?", [funnel.funnel_index])
    for name, tables in property_tables(engine, plan, chunk_rows):
        _append(engine, name, tables)


def _processed(parts: Iterator[EventArrays], plan: KernelPlan, position: int) -> Iterator[Tables]:
    """Yield the rows of each chunk, in order; `WORKERS` are processed while the database reads and writes."""
    waiting: deque[Future[Tables]] = deque()
    with ThreadPoolExecutor(WORKERS) as pool:
        for part in parts:
            waiting.append(pool.submit(process_chunk, part, plan, position))
            position += len(part)
            if len(waiting) > WORKERS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def chunks(engine: Engine, chunk_rows: int) -> Iterator[EventArrays]:
    """Yield the events of the stream in chunks of whole components, of `chunk_rows` events or more (but the last)."""
    held: list[EventArrays] = []
    held_rows = 0
    for batch in engine.stream(STREAM, BATCH_ROWS):
        events = from_arrow(batch)
        if len(events) == 0:
            continue
        held.append(events)
        held_rows += len(events)
        if held_rows < chunk_rows:
            continue
        together = concatenated(held)
        cut = int(np.searchsorted(together.component_key, together.component_key[-1], side="left"))
        if cut > 0:
            yield _checked(together.slice(0, cut))
            together = together.slice(cut, held_rows)
        held, held_rows = [together], len(together)
    if held_rows:
        yield _checked(concatenated(held))


def _checked(events: EventArrays) -> EventArrays:
    """Raise when events are not in the kernel's order: all results would be wrong without notice."""
    same_component = _same_neighbours(events.component_key, None)
    same_instant = _same_neighbours(events.occurred_us, same_component)
    _same_neighbours(events.sequence, same_instant)
    return events


def _same_neighbours(values: npt.NDArray[Any], among: npt.NDArray[np.bool_] | None) -> npt.NDArray[np.bool_]:
    """Return where neighbours (among those given) are equal; raise when one is smaller than the one before."""
    earlier, later = values[:-1], values[1:]
    falls = earlier > later if among is None else among & (earlier > later)
    if bool(falls.any()):
        raise JourneyflowError(
            "journeys.event_stream is not ordered by component_key, occurred_at, sequence (nulls last), event_id; "
            "rebuild it with the model sql/journeys/event_stream.sql as it is shipped."
        )
    same: npt.NDArray[np.bool_] = earlier == later if among is None else among & (earlier == later)
    return same


def added_up(name: str, tables: list[pa.Table]) -> pa.Table:
    """Return one row per key from the rows of several chunks, for a relation of `SUMMED`."""
    sums = SUMMED[name]
    keys = [column for column in empty(name).column_names if column not in sums]
    grouped = pa.concat_tables(tables).group_by(keys).aggregate(list(sums.items()))
    renamed = {f"{column}_{how}": column for column, how in sums.items()}
    named = grouped.rename_columns([renamed.get(column, column) for column in grouped.column_names])
    return named.select(empty(name).column_names).sort_by([(column, "ascending") for column in keys])


def _append(engine: Engine, name: str, tables: list[pa.Table]) -> None:
    rows = pa.concat_tables(tables) if tables else empty(name)
    if rows.num_rows:
        engine.append(name, rows)


def property_tables(engine: Engine, plan: KernelPlan, chunk_rows: int) -> Iterator[tuple[str, list[pa.Table]]]:
    """Yield rows of `kernel.funnel_*` for funnels by property; reads `kernel.events`, which must be filled before."""
    for column in dict.fromkeys(funnel.unit for funnel in _property_funnels(plan)):
        funnels = [funnel for funnel in plan.funnels if funnel.unit == column]
        position = 0
        for rows in _whole_units(engine, column, chunk_rows):
            units = _units(rows, plan, position)
            position += rows.num_rows
            for funnel in funnels:
                for name, table in run_funnel(units, funnel, plan).items():
                    yield name, [table]


def _property_funnels(plan: KernelPlan) -> list[CompiledFunnel]:
    return [funnel for funnel in plan.funnels if funnel.unit not in ("person", "session")]


def _select(column: str) -> str:
    return f"""
        select
            cast(md5_number(cast(staged.{column} as varchar)) >> 64 as ubigint) as unit_key,
            staged.event_ix, staged.source_ix, staged.sequence,
            date_diff('microsecond', timestamp '1970-01-01 00:00:00', staged.occurred_at) as occurred_us,
            classified.person_key, classified.journey_index, classified.session_ix, classified.classification_key
        from staging.events as staged
        inner join kernel.events as classified on classified.event_ix = staged.event_ix
        where staged.{column} is not null
        order by unit_key, occurred_us, staged.sequence nulls last, staged.event_id, staged.source_ix
    """


def _whole_units(engine: Engine, column: str, chunk_rows: int) -> Iterator[pa.Table]:
    held: list[pa.RecordBatch] = []
    held_rows = 0
    for batch in engine.stream(_select(column), PROPERTY_BATCH_ROWS):
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
    # Copies: numba would compile everything once more for Arrow's read-only memory.
    sequence = np.array(rows.column("sequence").fill_null(int(NO_SEQUENCE)).to_numpy())
    arrays = {name: np.array(rows.column(name).to_numpy()) for name in _PROPERTY_COLUMNS}
    keys = arrays["unit_key"]
    start = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1], [True]]))
    session = _session_numbers(rows.column("session_ix"))
    order = np.arange(len(keys), dtype=np.int32)
    classification_key = arrays["classification_key"]
    return Units(
        start,
        keys[start[:-1]],
        rank_units(
            order, start, arrays["occurred_us"], arrays["source_ix"].astype(np.int32, copy=False), sequence, NO_SEQUENCE
        ),
        arrays["occurred_us"],
        (classification_key % plan.event_type_room).astype(np.int32),
        unpack_stages(classification_key, plan),
        session,
        arrays["event_ix"],
        np.arange(len(keys), dtype=np.int64) + (position + 1),
        arrays["person_key"],
        arrays["journey_index"].astype(np.int32, copy=False),
        *linked(start, session),
    )


def _session_numbers(sessions: pa.ChunkedArray) -> npt.NDArray[np.int32]:
    """Number the sessions of a chunk from 0; -1 for none."""
    values = sessions.fill_null(-1).to_numpy()
    _, number = np.unique(values, return_inverse=True)
    first = 1 if (values == -1).any() else 0
    return (number - first).astype(np.int32)
