"""Sessions of devices, and the persons of events on shared devices, component by component in time order."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from journeyflow.kernel.loops.compiled import compiled
from journeyflow.kernel.loops.tables import Table, find_slot, new_table, run_stop, table_size, take_slot, widest_run
from journeyflow.kernel.loops.values import Bools, Int32s, Int64s, UInt64s

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
    """What is found: by event its session (-1 none) and person; by session its events, its user so far, its number."""

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

    A session is of one unit (the device, or the person where there is none) and one mapped session id.
    """
    n = len(events.at)
    rows = SessionRows(
        np.full(n, -1, np.int32),
        events.person.copy(),
        np.empty(n, np.int32),
        np.empty(n, np.int32),
        np.empty(n, np.int32),
        np.empty(n, np.int32),
        np.empty(n, np.uint64),
    )
    widest = widest_run(events.component)
    streams, units = new_table(widest), new_table(widest)
    count = 0
    mark = 0
    start = 0
    while start < n:
        stop = run_stop(events.component, start)
        mark += 1
        if _is_one_stream(events, start, stop):
            count = _cut_stream(events, rows, count, start, stop, timeout, longest)
        else:
            count = _cut_streams(events, rows, count, start, stop, timeout, longest, streams, units, mark)
        start = stop
    return rows, count


@compiled
def _is_one_stream(events: SessionEvents, start: int, stop: int) -> bool:
    """Do all events of the component have one device and no mapped session id."""
    device = events.device[start]
    if device == np.uint64(0):
        return False
    for i in range(start, stop):  # noqa: SIM110 - numba compiles no generators
        if events.device[i] != device or events.session_key[i] != np.uint64(0):
            return False
    return True


@compiled
def _cut_stream(
    events: SessionEvents, rows: SessionRows, count: int, start: int, stop: int, timeout: int, longest: int
) -> int:
    """Cut the sessions of a component of one device; return the number of sessions so far."""
    index = 0
    for i in range(start, stop):
        if events.is_offline[i]:
            continue
        if index == 0 or _begins(events, rows, count - 1, i, timeout, longest):
            index += 1
            _open(rows, count, i, index)
            count += 1
        _join(events, rows, count - 1, i)
    return count


@compiled
def _cut_streams(
    events: SessionEvents, rows: SessionRows, count: int, start: int, stop: int, timeout: int, longest: int,
    streams: Table, units: Table, mark: int,
) -> int:  # fmt: skip
    """Cut the sessions of several streams: `streams` finds the open session, `units` numbers sessions."""
    size = table_size(stop - start)
    nothing = np.uint64(0)
    for i in range(start, stop):
        if events.is_offline[i]:
            continue
        unit = events.device[i] if events.device[i] != nothing else events.person[i] ^ NO_DEVICE
        slot = find_slot(streams, size, mark, unit, events.session_key[i])
        is_known = streams.marks[slot] == mark
        if not is_known or _begins(events, rows, streams.values[slot], i, timeout, longest):
            counter = find_slot(units, size, mark, unit, nothing)
            if units.marks[counter] != mark:
                take_slot(units, counter, mark, unit, nothing, 0)
            units.values[counter] += 1
            _open(rows, count, i, units.values[counter])
            take_slot(streams, slot, mark, unit, events.session_key[i], count)
            count += 1
        _join(events, rows, streams.values[slot], i)
    return count


@compiled
def _begins(events: SessionEvents, rows: SessionRows, session: int, i: int, timeout: int, longest: int) -> bool:
    """Does the event begin another session of its stream."""
    nothing = np.uint64(0)
    if events.session_key[i] == nothing and events.at[i] - events.at[rows.last[session]] > timeout:
        return True
    if events.at[i] - events.at[rows.first[session]] > longest:
        return True
    return bool(events.user[i] != nothing and rows.user[session] != nothing and events.user[i] != rows.user[session])


@compiled
def _open(rows: SessionRows, session: int, i: int, number: int) -> None:
    rows.first[session] = i
    rows.event_count[session] = 0
    rows.number[session] = number
    rows.user[session] = np.uint64(0)


@compiled
def _join(events: SessionEvents, rows: SessionRows, session: int, i: int) -> None:
    """Add an event to a session; without a user on a shared device it takes the session's user so far."""
    rows.of_event[i] = session
    rows.last[session] = i
    rows.event_count[session] += 1
    if events.user[i] != np.uint64(0):
        rows.user[session] = events.user[i]
    elif events.is_undecided[i] and rows.user[session] != np.uint64(0):
        rows.person[i] = rows.user[session]
