"""The events of a chunk as a funnel reads them: grouped by person, by session, or by a property."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from journeyflow.kernel.loops.leaving import link_sessions
from journeyflow.kernel.loops.values import Int16s, Int32s, Int64s, UInt64s


@dataclass(frozen=True, eq=False)
class Units:
    """Events grouped by unit; unit `u` has the places `[start[u], start[u + 1])`, in time order.

    All arrays but `start` and `unit_key` are by place. `session` numbers the chunk's sessions from 0, -1 is none.
    `position` is the event's number in the whole stream, from 1; it names attempts, whatever the size of the chunks.
    `stage` is by model and place; `following` and `session_last` are the unit's next and last place in the session.
    `then_kind` (-1 none) and `then_at` are what the event's person did first after the session; only where sessions are
    the units, which hold nothing after themselves.
    """

    start: Int64s
    unit_key: UInt64s
    rank: Int32s
    at: Int64s
    kind: Int32s
    stage: Int16s
    session: Int32s
    event_ix: Int64s
    position: Int64s
    person_key: UInt64s
    journey_index: Int32s
    following: Int32s
    session_last: Int32s
    then_kind: Int32s | None = None
    then_at: Int64s | None = None


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
        units.kind[order],
        np.ascontiguousarray(units.stage[:, order]),
        session,
        units.event_ix[order],
        units.position[order],
        units.person_key[order],
        units.journey_index[order],
        *linked(start, session),
    )


def after_sessions(persons: Units) -> tuple[Int32s, Int64s]:
    """Return by place the kind (-1 none) and time of the person's first event after the session."""
    place = persons.session_last + 1
    is_none = place >= np.repeat(persons.start[1:], np.diff(persons.start))
    place[is_none] = 0
    return np.where(is_none, np.int32(-1), persons.kind[place]), persons.at[place]
