"""Run the kernel: stream events in chunks of whole components and fill `kernel.*`."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from journeyflow.config import Config
from journeyflow.engines import Engine
from journeyflow.errors import JourneyflowError
from journeyflow.kernel.events import (
    COLUMNS,
    NO_SEQUENCE,
    RELATIONS,
    Chunk,
    EventArrays,
    Units,
    concatenated,
    empty,
    from_arrow,
    linked,
    read_chunk,
    session_keys,
    session_units,
    table,
)
from journeyflow.kernel.funnels import run_funnel, run_stage_funnel
from journeyflow.kernel.interactions import map_tables
from journeyflow.kernel.jit import Int64s
from journeyflow.kernel.plan import CompiledFunnel, KernelPlan, plan_of
from journeyflow.kernel.sessions import rank_units
from journeyflow.kernel.stages import (
    count_classifications,
    count_persons,
    number_classifications,
    pack_classifications,
    unpack_stages,
    visit_stages,
)
from journeyflow.models.model import python_model

Tables = dict[str, list[pa.Table]]


def process_chunk(events: EventArrays, plan: KernelPlan, first_position: int = 0) -> Tables:
    """Return by relation the rows of some whole components; `first_position` events came in the chunks before.

    Sessions and attempts are numbered by position in the whole stream, so rows do not depend on the size of chunks.
    Only those of `kernel.classifications` and `kernel.event_type_persons` count within the chunk and must be added up.
    """
    chunk = read_chunk(events, plan, first_position)
    keys = pack_classifications(chunk.persons.event_type, chunk.rule, plan)
    tables: Tables = {
        "kernel.events": [_events(chunk, keys)],
        **_classifications(chunk, keys, plan),
        "kernel.sessions": [_sessions(chunk)],
        "kernel.journeys": [_journeys(chunk)],
        "kernel.persons": [_persons(chunk, plan)],
        "kernel.person_event_counts": _event_counts(chunk.persons, plan),
        "kernel.stage_visits": [_visits(chunk, m) for m in range(len(plan.models))],
    }
    of_models = [map_tables(chunk, funnel, plan) for funnel in plan.stage_funnels]
    for more in of_models + _funnels(chunk, plan):
        for name, rows in more.items():
            tables.setdefault(name, []).append(rows)
    return tables


def _funnels(chunk: Chunk, plan: KernelPlan) -> list[dict[str, pa.Table]]:
    persons, journeys = chunk.persons, chunk.journeys
    found = [
        run_stage_funnel(chunk.in_order[funnel.model_index - 1], journeys.start, journeys.person, funnel, plan)
        for funnel in plan.stage_funnels
    ]
    found += [run_funnel(persons, funnel, plan) for funnel in plan.funnels if funnel.unit == "person"]
    of_sessions = [funnel for funnel in plan.funnels if funnel.unit == "session"]
    if of_sessions:
        sessions = session_units(chunk)
        found += [run_funnel(sessions, funnel, plan) for funnel in of_sessions]
    return found


def _events(chunk: Chunk, classification_key: Int64s) -> pa.Table:
    persons = chunk.persons
    keys = np.append(session_keys(chunk), 0)
    return table(
        "kernel.events",
        {
            "event_ix": persons.event_ix,
            "person_key": persons.person_key,
            "journey_index": persons.journey_index,
            "occurred_at": persons.at,
            "session_ix": (keys[persons.session], persons.session < 0),
            "classification_key": classification_key,
        },
    )


def _classifications(chunk: Chunk, keys: Int64s, plan: KernelPlan) -> Tables:
    """Count the events of each classification, and the persons of each event type and rule of a model."""
    persons = chunk.persons
    number, example = number_classifications(keys)
    counts, first, last = count_classifications(number, persons.at, len(example))
    found: Tables = {"kernel.classifications": [], "kernel.event_type_persons": []}
    for m, model in enumerate(plan.models):
        rule = chunk.rule[m][example]
        cells, cell = np.unique(
            persons.event_type[example].astype(np.int64) * (len(model.rules) + 1) + rule, return_inverse=True
        )
        met = {
            "model_index": np.full(len(cells), model.model_index),
            "event_type_ix": cells // (len(model.rules) + 1),
            "rule_index": cells % (len(model.rules) + 1),
            "person_count": count_persons(persons.start, number, cell, len(cells)),
        }
        found["kernel.event_type_persons"].append(table("kernel.event_type_persons", met))
        columns = {
            "classification_key": keys[example],
            "model_index": np.full(len(example), model.model_index),
            "event_type_ix": persons.event_type[example],
            "stage_index": persons.stage[m][example],
            "rule_index": rule,
            "event_count": counts,
            "first_seen_at": first,
            "last_seen_at": last,
        }
        found["kernel.classifications"].append(table("kernel.classifications", columns))
    return found


def _sessions(chunk: Chunk) -> pa.Table:
    events, sessions = chunk.events, chunk.sessions
    device = events.device_key[sessions.first]
    return table(
        "kernel.sessions",
        {
            "session_ix": session_keys(chunk),
            "device_key": (device, device == 0),
            "person_key": sessions.person[sessions.first],
            "session_index": sessions.number,
            "started_at": events.occurred_us[sessions.first],
            "ended_at": events.occurred_us[sessions.last],
            "event_count": sessions.event_count,
        },
    )


def _journeys(chunk: Chunk) -> pa.Table:
    # A journey is the same in all models: the first model says which of tied events is its first touch.
    persons, journeys = chunk.in_order[0] if chunk.in_order else chunk.persons, chunk.journeys
    first, last = journeys.start[:-1], journeys.start[1:] - 1
    return table(
        "kernel.journeys",
        {
            "person_key": persons.person_key[first],
            "journey_index": journeys.index,
            "entered_at": persons.at[first],
            "last_event_at": persons.at[last],
            "first_event_ix": persons.event_ix[first],
            "first_event_type_ix": persons.event_type[first],
            "event_count": last - first + 1,
            "session_count": journeys.session_count,
        },
    )


def _persons(chunk: Chunk, plan: KernelPlan) -> pa.Table:
    persons = chunk.persons
    first, last = persons.start[:-1], persons.start[1:] - 1
    return table(
        "kernel.persons",
        {
            "person_key": persons.unit_key,
            "first_event_at": persons.at[first],
            "last_event_at": persons.at[last],
            "event_count": last - first + 1,
            "session_count": chunk.journeys.person_session_count,
            "purchase_count": _count_by_person(persons, plan.purchase),
            "journey_count": persons.journey_index[last],
        },
    )


def _count_by_person(persons: Units, is_counted: npt.NDArray[np.bool_]) -> Int64s:
    if not is_counted.any():
        return np.zeros(len(persons.unit_key), np.int64)
    running = np.concatenate([[0], np.cumsum(is_counted[persons.event_type])])
    counts: Int64s = running[persons.start[1:]] - running[persons.start[:-1]]
    return counts


def _event_counts(persons: Units, plan: KernelPlan) -> list[pa.Table]:
    tables = []
    for name, is_counted in plan.counted.items():
        counts = _count_by_person(persons, is_counted)
        some = counts > 0
        names = pa.repeat(pa.scalar(name, pa.string()), int(some.sum()))
        columns = {"person_key": persons.unit_key[some], "event_name": names, "event_count": counts[some]}
        tables.append(table("kernel.person_event_counts", columns))
    return tables


def _visits(chunk: Chunk, m: int) -> pa.Table:
    persons, journeys = chunk.in_order[m], chunk.journeys
    journey, index, first, last = visit_stages(journeys.start, persons.stage[m])
    stage, entered = persons.stage[m][first], persons.at[first]
    is_last = np.append(journey[1:] != journey[:-1], True)[: len(journey)]
    is_tied = np.append(persons.rank[first[1:]] == persons.rank[last[:-1]], False)[: len(journey)]
    return table(
        "kernel.stage_visits",
        {
            "model_index": np.full(len(journey), m + 1),
            "person_key": persons.person_key[first],
            "journey_index": persons.journey_index[first],
            "visit_index": index,
            "stage_index": stage,
            "next_stage_index": (np.append(stage[1:], 0)[: len(stage)], is_last),
            "entered_at": entered,
            "left_at": (np.append(entered[1:], 0)[: len(entered)], is_last),
            "last_seen_at": persons.at[last],
            "is_next_tied": (is_tied, is_last),
        },
    )


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
    for found in _processed(chunks(engine.stream(STREAM, BATCH_ROWS), chunk_rows), plan, first_position):
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


def chunks(batches: Iterable[pa.RecordBatch], chunk_rows: int) -> Iterator[EventArrays]:
    """Yield the events of the stream in chunks of whole components, of `chunk_rows` events or more (but the last)."""
    held: list[EventArrays] = []
    held_rows = 0
    for batch in batches:
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
    for column in property_units(plan):
        for found in _processed_units(engine.stream(_in_order(column), PROPERTY_BATCH_ROWS), plan, column, chunk_rows):
            yield from found.items()


def property_units(plan: KernelPlan) -> list[str]:
    """Return the columns of `staging.events` whose values are the units of some funnel."""
    return list(dict.fromkeys(funnel.unit for funnel in _property_funnels(plan)))


def _processed_units(
    batches: Iterable[pa.RecordBatch], plan: KernelPlan, column: str, chunk_rows: int, position: int = 0
) -> Iterator[Tables]:
    """Yield the rows of the funnels whose units are the values of `column`, by chunk and funnel."""
    funnels = [funnel for funnel in plan.funnels if funnel.unit == column]
    for rows in _whole_units(batches, chunk_rows):
        units = _units(rows, plan, position)
        position += rows.num_rows
        for funnel in funnels:
            yield {name: [table] for name, table in run_funnel(units, funnel, plan).items()}


def _property_funnels(plan: KernelPlan) -> list[CompiledFunnel]:
    return [funnel for funnel in plan.funnels if funnel.unit not in ("person", "session")]


def unit_events(column: str) -> str:
    """Return the SELECT of the events that have a value of `column`, with what orders them."""
    return f"""
        select
            md5_number_lower(cast(staged.{column} as varchar)) as unit_key, staged.event_ix, staged.source_ix,
            staged.sequence, staged.event_id,
            date_diff('microsecond', timestamp '1970-01-01 00:00:00', staged.occurred_at) as occurred_us,
            classified.person_key, classified.journey_index, classified.session_ix, classified.classification_key
        from staging.events as staged
        inner join kernel.events as classified on classified.event_ix = staged.event_ix
        where staged.{column} is not null
    """


def _in_order(column: str) -> str:
    return (
        f"{unit_events(column)} order by unit_key, occurred_us, sequence nulls last, staged.event_id, staged.source_ix"
    )


def _whole_units(batches: Iterable[pa.RecordBatch], chunk_rows: int) -> Iterator[pa.Table]:
    held: list[pa.RecordBatch] = []
    held_rows = 0
    for batch in batches:
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


@dataclass(frozen=True)
class BucketWork:
    """The kernel over one bucket of the stream: what a task of a cluster runs.

    `before` are the numbers of events in the buckets before each; `column` is that of property units, None for events.
    Buckets are whole, in the order of unsigned keys: so numbers of sessions and attempts are those of one machine.
    """

    plan: KernelPlan
    before: Mapping[int, int]
    column: str | None = None
    chunk_rows: int = CHUNK_ROWS

    def __call__(self, batches: Iterator[pa.RecordBatch], bucket: int) -> Iterator[Tables]:
        """Yield the rows of each chunk by relation."""
        position = self.before[bucket]
        if self.column is not None:
            yield from _processed_units(map(_with_units, batches), self.plan, self.column, self.chunk_rows, position)
            return
        for part in chunks(map(_with_keys, batches), self.chunk_rows):
            yield process_chunk(part, self.plan, position)
            position += len(part)


def _with_keys(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return a batch of the stream whose keys came as BIGINT."""
    keys = {name for name, dtype in COLUMNS.items() if dtype is np.uint64}
    return _viewed(batch, keys)


def _with_units(batch: pa.RecordBatch) -> pa.RecordBatch:
    return _viewed(batch, {"unit_key", "person_key"})


def _viewed(batch: pa.RecordBatch, keys: Collection[str]) -> pa.RecordBatch:
    arrays = [
        column.view(pa.uint64()) if name in keys else column
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)
