"""The relations `kernel.*` as Arrow tables, and the events of a chunk as arrays: read, stitched, regrouped by unit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from journeyflow.kernel.jit import Int16s, Int32s, Int64s, UInt64s
from journeyflow.kernel.plan import KernelPlan
from journeyflow.kernel.sessions import (
    SessionEvents,
    SessionRows,
    cut_journeys,
    cut_sessions,
    group,
    group_within,
    link_sessions,
    rank_units,
)
from journeyflow.kernel.stages import classify_events, find_ties, order_ties
from journeyflow.models.model import arrow_schema

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


Integer = TypeVar("Integer", bound=np.signedinteger[Any])
NO_SEQUENCE = np.iinfo(np.int64).max
"""Stands for a missing sequence, which comes last; a source's own number of this size counts as none."""
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
    "event_type_ix": np.int32,
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
    event_type_ix: npt.NDArray[np.int32]
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
    """Return the columns of a batch of `journeys.event_stream` as arrays."""
    return EventArrays(**{name: _column(batch, name, dtype) for name, dtype in COLUMNS.items()})


def _column(batch: pa.RecordBatch | pa.Table, name: str, dtype: type) -> npt.NDArray[Any]:
    column = batch.column(name)
    if column.null_count:
        column = column.fill_null(int(NO_SEQUENCE) if name == "sequence" else 0)
    values = column.to_numpy() if isinstance(column, pa.ChunkedArray) else column.to_numpy(zero_copy_only=False)
    # A copy: numba would compile everything once more for Arrow's read-only memory.
    return np.array(values, dtype=dtype)


@dataclass(frozen=True, eq=False)
class Units:
    """Events grouped by unit; unit `u` has the places `[start[u], start[u + 1])`, in time order.

    All arrays but `start` and `unit_key` are by place. `session` numbers the chunk's sessions from 0, -1 is none.
    `position` is the event's number in the whole stream, from 1: it identifies attempts for any size of chunks.
    `stage` is by model and place; `following` and `session_last` are the unit's next and last place in the session.
    Where sessions are the units, `then_event_type` (-1 none) and `then_at` are of the person's next event after them.
    """

    start: Int64s
    unit_key: UInt64s
    rank: Int32s
    at: Int64s
    event_type: Int32s
    stage: Int16s
    session: Int32s
    event_ix: Int64s
    position: Int64s
    person_key: UInt64s
    journey_index: Int32s
    following: Int32s
    session_last: Int32s
    then_event_type: Int32s | None = None
    then_at: Int64s | None = None


@dataclass(frozen=True, eq=False)
class Journeys:
    """The journeys of a chunk: journey `j` has the places `[start[j], start[j + 1])` of the persons."""

    start: Int64s
    person: Int32s
    index: Int32s
    session_count: Int64s
    person_session_count: Int64s


@dataclass(frozen=True, eq=False)
class Chunk:
    """The events of some whole components, and their sessions, persons, journeys and rules (by model and place).

    `order` maps places of `persons` to positions in `events`; `first_position` events came before the chunk. `in_order`
    has the persons once for each model, with tied events in that model's order.
    """

    events: EventArrays
    first_position: int
    sessions: SessionRows
    order: Int32s
    persons: Units
    in_order: tuple[Units, ...]
    journeys: Journeys
    rule: Int16s


def read_chunk(events: EventArrays, plan: KernelPlan, first_position: int) -> Chunk:
    """Return the sessions, persons, journeys and stages of some whole components."""
    sessions = read_sessions(events, plan)
    order, start, rank, at, event_type = group_persons(events, sessions)
    session = sessions.of_event[order]
    journey_start, journey_person, index, session_count, journey_index, person_sessions = cut_journeys(
        start, at, session, plan.journey_timeout_us, len(sessions.first)
    )
    stage, rule = classify_events(start, at, event_type, len(plan.models), plan.event_type_count, plan.rule_tables)
    person = sessions.person[order]
    persons = Units(
        start,
        person[start[:-1]],
        rank,
        at,
        event_type,
        stage,
        session,
        events.event_ix[order],
        order.astype(np.int64) + (first_position + 1),
        person,
        journey_index,
        *linked(start, session),
    )
    journeys = Journeys(journey_start, journey_person, index, session_count, person_sessions)
    ties = find_ties(journey_start, rank)
    in_order = tuple(in_model_order(persons, ties, m, model.stage_count) for m, model in enumerate(plan.models))
    return Chunk(events, first_position, sessions, order, persons, in_order, journeys, rule)


def in_model_order(persons: Units, ties: Int64s, m: int, stages: int) -> Units:
    """Return the events with those of `ties` in the order of model `m` (0-based), which has so many stages.

    Times, ranks, persons and journeys of places stay: what moves is inside one instant of one journey.

    References
    ----------
    docs/reference/semantics.md, section 10.
    """
    places, sources = order_ties(ties, persons.stage[m], stages)
    if len(places) == 0:
        return persons
    event_type = _moved(persons.event_type, places, sources)
    session = _moved(persons.session, places, sources)
    stage = persons.stage.copy()
    stage[:, places] = persons.stage[:, sources]
    following, session_last = persons.following, persons.session_last
    # Most ties are inside one session: then places are linked as before.
    if np.any(persons.session[sources] != persons.session[places]):
        following, session_last = linked(persons.start, session)
    return replace(
        persons,
        event_type=event_type,
        stage=stage,
        session=session,
        event_ix=_moved(persons.event_ix, places, sources),
        position=_moved(persons.position, places, sources),
        following=following,
        session_last=session_last,
    )


def _moved(values: npt.NDArray[Integer], places: Int64s, sources: Int64s) -> npt.NDArray[Integer]:
    moved = values.copy()
    moved[places] = values[sources]
    return moved


def group_persons(events: EventArrays, sessions: SessionRows) -> tuple[Int32s, Int64s, Int32s, Int64s, Int32s]:
    """Return the events grouped by person: positions, starts of persons, and ranks, times and event types by place."""
    order, start, is_grouped = group_within(events.component_key, sessions.person)
    rank = rank_units(order, start, events.occurred_us, events.source_ix, events.sequence, NO_SEQUENCE)
    if is_grouped:
        return order, start, rank, events.occurred_us, events.event_type_ix
    return order, start, rank, events.occurred_us[order], events.event_type_ix[order]


def read_sessions(events: EventArrays, plan: KernelPlan) -> SessionRows:
    """Return the sessions of some whole components; see `semantics.md` §2 and §3."""
    columns = SessionEvents(
        events.component_key,
        events.device_key,
        events.person_key,
        events.is_undecided,
        events.user_key,
        events.session_key,
        events.occurred_us,
        events.is_offline,
    )
    rows, count = cut_sessions(columns, plan.session_timeout_us, plan.session_max_us)
    return SessionRows(
        rows.of_event,
        rows.person,
        rows.first[:count],
        rows.last[:count],
        rows.event_count[:count],
        rows.number[:count],
        rows.user[:count],
    )


def session_units(chunk: Chunk) -> Units:
    """Return the events of a chunk grouped by session, without offline events."""
    events, sessions = chunk.events, chunk.sessions
    order, start = group(sessions.of_event, len(sessions.first))
    rank = rank_units(order, start, events.occurred_us, events.source_ix, events.sequence, NO_SEQUENCE)
    place = np.empty(len(chunk.order), np.int64)
    place[chunk.order] = np.arange(len(chunk.order))
    places = place[order]
    units = regrouped(chunk.persons, places, start, session_keys(chunk).astype(np.uint64), rank)
    then_event_type, then_at = after_sessions(chunk.persons)
    return replace(units, then_event_type=then_event_type[places], then_at=then_at[places])


def session_keys(chunk: Chunk) -> Int64s:
    """Return `session_ix` by session: the position of its first event in the whole stream, from 1."""
    return chunk.sessions.first.astype(np.int64) + (chunk.first_position + 1)


def linked(start: Int64s, session: Int32s) -> tuple[Int32s, Int32s]:
    """Return the columns `following` and `session_last` of units."""
    return link_sessions(start, session, int(session.max(initial=-1)) + 1)


def regrouped(units: Units, order: Int64s, start: Int64s, unit_key: UInt64s, rank: Int32s) -> Units:
    """Return the events in another grouping; `order` maps its places to places of `units`."""
    session = units.session[order]
    return Units(
        start,
        unit_key,
        rank,
        units.at[order],
        units.event_type[order],
        np.ascontiguousarray(units.stage[:, order]),
        session,
        units.event_ix[order],
        units.position[order],
        units.person_key[order],
        units.journey_index[order],
        *linked(start, session),
    )


def after_sessions(persons: Units) -> tuple[Int32s, Int64s]:
    """Return by place the event type (-1 none) and time of the person's first event after the session."""
    place = persons.session_last + 1
    is_none = place >= np.repeat(persons.start[1:], np.diff(persons.start))
    place[is_none] = 0
    return np.where(is_none, np.int32(-1), persons.event_type[place]), persons.at[place]
