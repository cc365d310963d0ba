"""Sessions of devices, and the persons of events on shared devices, in one pass over components in time order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from journeyflow.kernel.compiled import compiled
from journeyflow.kernel.events import EventArrays
from journeyflow.kernel.plan import KernelPlan


@dataclass(frozen=True, eq=False)
class Sessions:
    """The sessions of a chunk, in the order they begin, and what each event belongs to.

    `of_event` is -1 for offline events; `first` is the position of a session's first event.
    """

    of_event: npt.NDArray[np.int32]
    person: npt.NDArray[np.uint64]
    first: npt.NDArray[np.int32]
    last: npt.NDArray[np.int32]
    event_count: npt.NDArray[np.int64]
    index: npt.NDArray[np.int64]


def cut_sessions(events: EventArrays, plan: KernelPlan) -> Sessions:
    """Return the sessions of whole components.

    A session is read per device (the person where an event has none) and mapped session id; see `semantics.md` §2 and §3.
    """
    of_event, person, first, last, counts, index, session_count = _cut(
        events.component_key,
        events.device_key,
        events.person_key,
        events.is_undecided,
        events.user_key,
        events.session_key,
        events.occurred_us,
        events.is_offline,
        plan.session_timeout_us,
        plan.session_max_us,
    )
    n = session_count
    return Sessions(of_event, person, first[:n].copy(), last[:n].copy(), counts[:n].copy(), index[:n].copy())


@compiled
def _slot(unit_keys, stream_keys, used, mark, mask, unit, stream):  # type: ignore[no-untyped-def]
    """Return the place of (unit, stream) in an open hash table; `used` tells which places this component has taken."""
    mixed = (unit ^ (stream * np.uint64(0x9E3779B97F4A7C15))) * np.uint64(0xBF58476D1CE4E5B9)
    place = np.int64((mixed >> np.uint64(20)) & mask)
    while used[place] == mark and not (unit_keys[place] == unit and stream_keys[place] == stream):
        place = np.int64((np.uint64(place) + np.uint64(1)) & mask)
    return place


@compiled
def _cut(component, device, person_in, is_undecided, user, session_key, at, is_offline, timeout, longest):  # type: ignore[no-untyped-def]
    n = len(at)
    of_event = np.full(n, -1, np.int32)
    person = person_in.copy()
    first = np.empty(n, np.int32)
    last = np.empty(n, np.int32)
    counts = np.empty(n, np.int64)
    index = np.empty(n, np.int64)
    users = np.empty(n, np.uint64)
    widest = 1
    start = 0
    for i in range(1, n + 1):
        if i == n or component[i] != component[start]:
            widest = max(widest, i - start)
            start = i
    size = 8
    while size < 4 * widest:
        size *= 2
    # Two tables of one shape: (unit, session id) -> open session, and unit -> number of sessions so far.
    unit_keys = np.zeros(size, np.uint64)
    stream_keys = np.zeros(size, np.uint64)
    used = np.zeros(size, np.int32)
    open_session = np.zeros(size, np.int32)
    counter_units = np.zeros(size, np.uint64)
    counter_streams = np.zeros(size, np.uint64)
    counter_used = np.zeros(size, np.int32)
    counters = np.zeros(size, np.int64)
    total = 0
    mark = 0
    mask = np.uint64(7)
    zero = np.uint64(0)
    stop = 0
    for i in range(n):
        if i == stop:
            mark += 1
            stop = i + 1
            while stop < n and component[stop] == component[i]:
                stop += 1
            size = 8
            while size < 4 * (stop - i):
                size *= 2
            mask = np.uint64(size - 1)
        if is_offline[i]:
            continue
        # A device and a person never share a key space: a person without a device counts as stream 1 of its own key.
        if device[i] != zero:
            unit = device[i]
        else:
            unit = person_in[i] ^ np.uint64(0xA5A5A5A5A5A5A5A5)
        place = _slot(unit_keys, stream_keys, used, mark, mask, unit, session_key[i])
        is_new = used[place] != mark
        if is_new:
            used[place] = mark
            unit_keys[place] = unit
            stream_keys[place] = session_key[i]
        else:
            s = open_session[place]
            if session_key[i] == zero and at[i] - at[last[s]] > timeout:
                is_new = True
            elif at[i] - at[first[s]] > longest:
                is_new = True
            elif user[i] != zero and users[s] != zero and user[i] != users[s]:
                is_new = True
        if is_new:
            counter = _slot(counter_units, counter_streams, counter_used, mark, mask, unit, zero)
            if counter_used[counter] != mark:
                counter_used[counter] = mark
                counter_units[counter] = unit
                counters[counter] = 0
            counters[counter] += 1
            s = total
            total += 1
            open_session[place] = s
            first[s] = i
            counts[s] = 0
            users[s] = zero
            index[s] = counters[counter]
        s = open_session[place]
        of_event[i] = s
        last[s] = i
        counts[s] += 1
        if user[i] != zero:
            users[s] = user[i]
        elif is_undecided[i] and users[s] != zero:
            person[i] = users[s]
    return of_event, person, first, last, counts, index, total
