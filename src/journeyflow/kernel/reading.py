"""From the events of a chunk to persons: sessions, stitching, journeys, stages."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from journeyflow.kernel.events import NO_SEQUENCE, EventArrays
from journeyflow.kernel.journeys import rule_tables
from journeyflow.kernel.loops.grouping import cut_journeys, group, number_within, rank_units
from journeyflow.kernel.loops.sessions import SessionEvents, SessionRows, cut_sessions
from journeyflow.kernel.loops.stages import label_events
from journeyflow.kernel.loops.values import Int16s, Int32s, Int64s
from journeyflow.kernel.plan import KernelPlan
from journeyflow.kernel.units import Units, after_sessions, linked, regrouped


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
    """What was found in the events of some whole components.

    `order` maps places of `persons` to positions in `events`; `first_position` events came before the chunk. `rule` is
    by model and place.
    """

    events: EventArrays
    first_position: int
    sessions: SessionRows
    order: Int32s
    persons: Units
    journeys: Journeys
    rule: Int16s


def read_chunk(events: EventArrays, plan: KernelPlan, first_position: int) -> Chunk:
    """Return the sessions, persons, journeys and stages of some whole components."""
    sessions = read_sessions(events, plan)
    order, start, rank, at, kind = group_persons(events, sessions)
    session = sessions.of_event[order]
    journey_start, journey_person, index, session_count, journey_index, person_sessions = cut_journeys(
        start, at, session, plan.journey_timeout_us, len(sessions.first)
    )
    stage, rule = label_events(start, at, kind, len(plan.models), plan.kind_count, rule_tables(plan))
    person = sessions.person[order]
    persons = Units(
        start,
        person[start[:-1]],
        rank,
        at,
        kind,
        stage,
        session,
        events.event_ix[order],
        order.astype(np.int64) + (first_position + 1),
        person,
        journey_index,
        *linked(start, session),
    )
    journeys = Journeys(journey_start, journey_person, index, session_count, person_sessions)
    return Chunk(events, first_position, sessions, order, persons, journeys, rule)


def group_persons(events: EventArrays, sessions: SessionRows) -> tuple[Int32s, Int64s, Int32s, Int64s, Int32s]:
    """Return the events grouped by person: positions, where persons start, and ranks, times and kinds by place."""
    number, count, is_grouped = number_within(events.component_key, sessions.person)
    order, start = group(number, count)
    rank = rank_units(order, start, events.occurred_us, events.source_ix, events.sequence, NO_SEQUENCE)
    if is_grouped:
        return order, start, rank, events.occurred_us, events.kind_ix
    return order, start, rank, events.occurred_us[order], events.kind_ix[order]


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


def by_session(chunk: Chunk) -> Units:
    """Return the events of a chunk grouped by session; offline events stay out."""
    events, sessions = chunk.events, chunk.sessions
    order, start = group(sessions.of_event, len(sessions.first))
    rank = rank_units(order, start, events.occurred_us, events.source_ix, events.sequence, NO_SEQUENCE)
    place = np.empty(len(chunk.order), np.int64)
    place[chunk.order] = np.arange(len(chunk.order))
    places = place[order]
    units = regrouped(chunk.persons, places, start, session_keys(chunk).astype(np.uint64), rank)
    then_kind, then_at = after_sessions(chunk.persons)
    return replace(units, then_kind=then_kind[places], then_at=then_at[places])


def session_keys(chunk: Chunk) -> Int64s:
    """Return `session_ix` by session: the position of its first event in the whole stream, from 1."""
    return chunk.sessions.first.astype(np.int64) + (chunk.first_position + 1)
