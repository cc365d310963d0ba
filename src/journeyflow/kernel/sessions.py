"""Sessions of devices, and persons of events on shared devices (compiled)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from journeyflow.kernel.hash_table import HashTable, find_slot, largest_component, new_table, table_size, take_slot
from journeyflow.kernel.jit import Bools, Int16s, Int32s, Int64s, UInt64s, compiled, first_above, inner

NO_DEVICE = np.uint64(0xA5A5A5A5A5A5A5A5)
"""Sets the key of a person without a device apart from that of a device."""


class SessionEvents(NamedTuple):
    """The columns that sessions are cut by, in the kernel's order; absent keys are 0."""

    component: UInt64s
    device: UInt64s
    person: UInt64s
    is_undecided: Bools
    user: UInt64s
    session_key: UInt64s
    at: Int64s
    is_offline: Bools


class SessionRows(NamedTuple):
    """By event its session (-1 none) and person; by session its first and last event, its number and latest user."""

    of_event: Int32s
    person: UInt64s
    first: Int32s
    last: Int32s
    event_count: Int32s
    number: Int32s
    user: UInt64s


@compiled
def cut_sessions(events: SessionEvents, timeout: int, longest: int) -> tuple[SessionRows, int]:
    """Cut the sessions of whole components; return them and their number (rows beyond it are empty).

    A session has one unit (the device, or the person where there is none) and one mapped session id.
    """
    component, device, session_key = events.component, events.device, events.session_key
    n = len(events.at)
    rows = SessionRows(
        np.full(n, -1, np.int32),
        events.person.copy() if _has_any(events.is_undecided) else events.person,
        np.empty(n, np.int32),
        np.empty(n, np.int32),
        np.empty(n, np.int32),
        np.empty(n, np.int32),
        np.empty(n, np.uint64),
    )
    nothing = np.uint64(0)
    largest = largest_component(component)
    streams, units = new_table(largest), new_table(largest)
    count = 0
    owner = 0
    start = 0
    while start < n:
        stop = start + 1
        is_one_stream = device[start] != nothing and session_key[start] == nothing
        while stop < n and component[stop] == component[start]:
            is_one_stream = is_one_stream and device[stop] == device[start] and session_key[stop] == nothing
            stop += 1
        owner += 1
        if is_one_stream:
            count = _cut_stream(events, rows, count, start, stop, timeout, longest)
        else:
            count = _cut_streams(events, rows, count, start, stop, timeout, longest, streams, units, owner)
        start = stop
    return rows, count


@inner
def _has_any(flags: Bools) -> bool:
    for flag in flags:  # noqa: SIM110 - numba compiles no generators
        if flag:
            return True
    return False


@inner
def _cut_stream(
    events: SessionEvents, rows: SessionRows, count: int, start: int, stop: int, timeout: int, longest: int
) -> int:
    """Cut the sessions of a component of one device; return the number of sessions so far."""
    at, user, is_offline, is_undecided = events.at, events.user, events.is_offline, events.is_undecided
    of_event, person, first, last = rows.of_event, rows.person, rows.first, rows.last
    event_count, number, session_user = rows.event_count, rows.number, rows.user
    nothing = np.uint64(0)
    s = count - 1
    for i in range(start, stop):
        if is_offline[i]:
            continue
        if s < count or _begins(at[i] - at[last[s]], at[i] - at[first[s]], timeout, longest, user[i], session_user[s]):
            s += 1
            first[s] = i
            event_count[s] = 0
            number[s] = s - count + 1
            session_user[s] = nothing
        of_event[i] = s
        last[s] = i
        event_count[s] += 1
        if user[i] != nothing:
            session_user[s] = user[i]
        elif is_undecided[i] and session_user[s] != nothing:
            person[i] = session_user[s]
    return s + 1


@inner
def _cut_streams(
    events: SessionEvents, rows: SessionRows, count: int, start: int, stop: int, timeout: int, longest: int,
    streams: HashTable, units: HashTable, owner: int,
) -> int:  # fmt: skip
    """Cut the sessions of several streams: `streams` finds the open session, `units` numbers sessions."""
    at, user, is_offline, is_undecided = events.at, events.user, events.is_offline, events.is_undecided
    of_event, person, first, last = rows.of_event, rows.person, rows.first, rows.last
    event_count, number, session_user = rows.event_count, rows.number, rows.user
    size = table_size(stop - start)
    nothing = np.uint64(0)
    for i in range(start, stop):
        if is_offline[i]:
            continue
        key = events.session_key[i]
        unit = events.device[i] if events.device[i] != nothing else events.person[i] ^ NO_DEVICE
        slot = find_slot(streams, size, owner, unit, key)
        s = streams.values[slot]
        # A mapped session id replaces the gap rule, and that alone.
        gap = at[i] - at[last[s]] if streams.owners[slot] == owner and key == nothing else 0
        if streams.owners[slot] != owner or _begins(
            gap, at[i] - at[first[s]], timeout, longest, user[i], session_user[s]
        ):
            counter = find_slot(units, size, owner, unit, nothing)
            if units.owners[counter] != owner:
                take_slot(units, counter, owner, unit, nothing, 0)
            units.values[counter] += 1
            s = count
            count += 1
            take_slot(streams, slot, owner, unit, key, s)
            first[s] = i
            event_count[s] = 0
            number[s] = units.values[counter]
            session_user[s] = nothing
        of_event[i] = s
        last[s] = i
        event_count[s] += 1
        if user[i] != nothing:
            session_user[s] = user[i]
        elif is_undecided[i] and session_user[s] != nothing:
            person[i] = session_user[s]
    return count


@inner
def _begins(gap: int, length: int, timeout: int, longest: int, user: np.uint64, session_user: np.uint64) -> bool:
    """Does an event begin another session: a gap, a session too long, or a changed user."""
    nothing = np.uint64(0)
    is_changed = user != nothing and session_user != nothing and user != session_user
    return gap > timeout or length > longest or is_changed


@compiled
def link_sessions(start: Int64s, session: Int32s, session_count: int) -> tuple[Int32s, Int32s]:
    """Return for each place the unit's next place in the same session (-1 none) and its last one.

    An event of no session (-1) is alone.
    """
    n = len(session)
    following = np.full(n, -1, np.int32)
    last = np.empty(n, np.int32)
    seen = np.full(session_count, -1, np.int32)
    for unit in range(len(start) - 1):
        lo, hi = start[unit], start[unit + 1]
        for place in range(hi - 1, lo - 1, -1):
            last[place] = place
            s = session[place]
            if s < 0:
                continue
            # A session may hold events of several units.
            if lo <= seen[s] < hi:
                following[place] = seen[s]
                last[place] = last[seen[s]]
            seen[s] = place
    return following, last


@compiled
def find_exits(
    start: Int64s, at: Int64s, unit: Int64s, reached: Int64s, depth: Int64s, closes_at: Int64s, closed_by: Int64s,
    following: Int32s, session_last: Int32s,
) -> tuple[Int64s, Int64s]:  # fmt: skip
    """Return for each attempt and step the place of the last event before the exit, and of the next action (-1 none).

    The exit is the next step of attempts that reached it, else the attempt's close.
    """
    last = np.full(reached.shape, -1, np.int64)
    after = np.full(reached.shape, -1, np.int64)
    for a in range(len(unit)):
        hi = start[unit[a] + 1]
        for s in range(depth[a]):
            place = reached[a, s]
            if s + 1 < depth[a]:
                limit = reached[a, s + 1]
            else:
                limit = first_above(at, place, hi, closes_at[a])
                if closed_by[a] >= 0:
                    limit = min(limit, closed_by[a])
            last[a, s] = place
            while following[last[a, s]] >= 0 and following[last[a, s]] < limit:
                last[a, s] = following[last[a, s]]
            next_place = session_last[place] + 1
            if next_place < limit and next_place < hi:
                after[a, s] = next_place
    return last, after


@compiled
def prefer_staged(last: Int64s, reached: Int64s, depth: Int64s, rank: Int32s, session: Int32s, stage: Int16s) -> None:
    """Move exits of a stage funnel from an unclassified event to the latest staged one that ties, in the session.

    `last` and `reached` are the places of last events and of stages, by attempt and stage.
    """
    for a in range(len(depth)):
        for s in range(depth[a]):
            exit_place = last[a, s]
            place = exit_place
            while place > reached[a, s] and rank[place - 1] == rank[exit_place] and stage[last[a, s]] == 0:
                place -= 1
                if stage[place] > 0 and session[place] == session[exit_place]:
                    last[a, s] = place
