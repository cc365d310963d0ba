"""Connected components of ids and persons; sessions of devices, persons on shared devices and journeys (compiled)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from journeyflow.kernel.jit import (
    Bools,
    HashTable,
    Int16s,
    Int32s,
    Int64s,
    UInt64s,
    compiled,
    component_stop,
    find_slot,
    first_above,
    inner,
    largest_component,
    new_table,
    table_size,
    take_slot,
)
from journeyflow.models.model import python_model

if TYPE_CHECKING:
    from journeyflow.engines import Engine


Keys = npt.NDArray[np.uint64]

# A login (`is_login` of the collectors' adapters) names the id of its device before it. As with any device, that ties
# nobody together when several users logged in from it. All logins of a device are in its component.
_ALIASES = """
    with named as (
        select
            event_ix,
            coalesce(
                json_extract_string(properties, '/is_login') = 'true'
                and anonymous_id = json_extract_string(properties, '/previous_id'),
                false
            ) as is_login
        from sources.events
        where event_name = 'alias'
    ),

    stated as (
        select distinct
            events.alias_key as previous_key,
            events.user_key,
            coalesce(named.is_login, false) as is_login
        from staging.events as events
        left join named on named.event_ix = events.event_ix
        where
            events.alias_key is not null and events.user_key is not null and events.alias_key <> events.user_key
            and not events.is_bot and not events.is_internal
    )

    select previous_key, user_key
    from stated
    qualify not is_login or count(*) filter (where is_login) over (partition by previous_key) = 1
"""
_MEETINGS = "select device_key, person_key from identity.shared_device_persons"
_IS_CLEAR = "select is_clear_person_id from config.settings where is_clear_person_id"
# Where clear ids are published, a device and a user of the same text: the id of one depends on the other.
_NAMESAKES = """
    with devices as (
        select distinct device_key
        from staging.events
        where device_key is not null and not is_bot and not is_internal
    ),

    users as (
        select distinct events.user_key, md5_number_lower('d:' || named.user_id) as device_key
        from staging.events as events
        inner join sources.events as named on named.event_ix = events.event_ix
        where events.user_key is not null and not events.is_bot and not events.is_internal
    )

    select
        coalesce(
            case when device_persons.person_count = 1 then device_persons.person_key end, devices.device_key
        ) as device_key,
        coalesce(aliases.person_key, users.user_key) as person_key
    from users
    inner join devices on devices.device_key = users.device_key
    left join identity._device_persons as device_persons on device_persons.device_key = devices.device_key
    left join identity.user_aliases as aliases on aliases.user_key = users.user_key
"""


def group_keys(left: Keys, right: Keys) -> tuple[Keys, npt.NDArray[np.int32]]:
    """Return every key of the pairs, ascending, and the number of the connected group of each.

    Groups are numbered from 0 by their least keys; the order of pairs and of their two sides does not matter.
    """
    if not len(left):
        return np.array([], np.uint64), np.array([], np.int32)  # The imports take longer than a small run.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    keys, positions = np.unique(np.concatenate((left, right)), return_inverse=True)
    rows, columns = positions[: len(left)], positions[len(left) :]
    links = coo_array((np.ones(len(left), dtype=np.int8), (rows, columns)), shape=(len(keys), len(keys)))
    _, groups = connected_components(links, directed=False)
    return keys, groups


def resolve_aliases(previous: Keys, current: Keys) -> tuple[Keys, Keys]:
    """Return every key of the alias events, ascending, and the key of its person.

    A person has the least key that was never a previous one, because it is in use; in a circle the least of all.
    """
    keys, groups = group_keys(previous, current)
    is_previous = np.isin(keys, previous)
    order = np.lexsort((keys, is_previous, groups))
    firsts = np.concatenate(([True], groups[order][1:] != groups[order][:-1])) if len(keys) else np.array([], bool)
    chosen = keys[order][firsts]
    return keys, chosen[groups]


@python_model("identity.user_aliases")
def user_aliases(engine: Engine) -> pa.Table:
    """Return one row per user_id of an alias event, with the key of its person."""
    aliases = engine.rows(_ALIASES)
    keys, person_keys = resolve_aliases(_keys(aliases, "previous_key"), _keys(aliases, "user_key"))
    return pa.table({"user_key": keys, "person_key": person_keys})


@python_model("identity.person_components")
def person_components(engine: Engine) -> pa.Table:
    """Return persons and devices tied by shared devices, each with the component they form.

    A shared device appears under its own key, as the anonymous person who owns its unnamed events. Where clear ids are
    published, a device and a user of the same text are tied too.
    """
    is_clear = engine.rows(_IS_CLEAR).num_rows > 0
    meetings = engine.rows(f"{_MEETINGS} union ({_NAMESAKES})" if is_clear else _MEETINGS)
    keys, groups = group_keys(_keys(meetings, "device_key"), _keys(meetings, "person_key"))
    _, firsts = np.unique(groups, return_index=True)
    return pa.table({"person_key": keys, "component_key": keys[firsts][groups]})


def _keys(table: pa.Table, column: str) -> Keys:
    keys: Keys = table.column(column).to_numpy().astype(np.uint64, copy=False)
    return keys


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


@compiled
def group_within(component: UInt64s, key: UInt64s) -> tuple[Int32s, Int64s, bool]:
    """Return the events ordered by `key` within components, where each key starts, and whether that is their order.

    Keys come in the order of their first events; the order within a key is kept.
    """
    n = len(key)
    order = np.empty(n, np.int32)
    start = np.empty(n + 1, np.int64)
    largest = largest_component(component)
    table = new_table(largest)
    number, free = np.empty(largest, np.int32), np.empty(largest + 1, np.int64)
    nothing = np.uint64(0)
    is_grouped = True
    count = 0
    owner = 0
    lo = 0
    while lo < n:
        start[count] = lo
        hi = lo
        while hi < n and component[hi] == component[lo] and key[hi] == key[lo]:
            order[hi] = hi
            hi += 1
        if hi == n or component[hi] != component[lo]:  # A component of one key, as most are.
            count += 1
            lo = hi
            continue
        hi = component_stop(component, lo)
        owner += 1
        size = table_size(hi - lo)
        keys = 0
        for i in range(lo, hi):
            slot = find_slot(table, size, owner, key[i], nothing)
            if table.owners[slot] != owner:
                take_slot(table, slot, owner, key[i], nothing, keys)
                free[keys] = 0
                keys += 1
            number[i - lo] = table.values[slot]
            free[number[i - lo]] += 1
            is_grouped = is_grouped and number[i - lo] == keys - 1
        place = lo
        for k in range(keys):
            start[count + k] = place
            place += free[k]
            free[k] = start[count + k]
        for i in range(lo, hi):
            order[free[number[i - lo]]] = i
            free[number[i - lo]] += 1
        count += keys
        lo = hi
    start[count] = n
    return order, start[: count + 1].copy(), is_grouped


@compiled
def group(number: Int32s, unit_count: int) -> tuple[Int32s, Int64s]:
    """Return the events ordered by unit `number` (-1 is left out), order within a unit kept, and where units start."""
    start = np.zeros(unit_count + 1, np.int64)
    for i in range(len(number)):
        if number[i] >= 0:
            start[number[i] + 1] += 1
    for unit in range(unit_count):
        start[unit + 1] += start[unit]
    order = np.empty(start[unit_count], np.int32)
    free = start[:-1].copy()
    for i in range(len(number)):
        if number[i] >= 0:
            order[free[number[i]]] = i
            free[number[i]] += 1
    return order, start


@compiled
def rank_units(order: Int32s, start: Int64s, at: Int64s, source: Int32s, sequence: Int64s, no_sequence: int) -> Int32s:
    """Return the rank of each place in its unit; tied events share one.

    Within an instant the sequence orders events when all have one and come from one source; else all of them tie.
    """
    rank = np.empty(len(order), np.int32)
    for unit in range(len(start) - 1):
        current = -1
        place = start[unit]
        while place < start[unit + 1]:
            first = order[place]
            stop = place + 1
            is_ordered = sequence[first] != no_sequence
            while stop < start[unit + 1] and at[order[stop]] == at[first]:
                each = order[stop]
                if sequence[each] == no_sequence or source[each] != source[first]:
                    is_ordered = False
                stop += 1
            current += 1
            rank[place] = current
            for tied in range(place + 1, stop):
                if is_ordered and sequence[order[tied]] != sequence[order[tied - 1]]:
                    current += 1
                rank[tied] = current
            place = stop
    return rank


@compiled
def cut_journeys(
    start: Int64s, at: Int64s, session: Int32s, timeout: int, session_count: int
) -> tuple[Int64s, Int32s, Int32s, Int64s, Int32s, Int64s]:
    """Return the journeys of persons: start (and the end of all), person, number and count of sessions of each.

    Then by place the number of its journey, and by person the count of sessions.
    """
    n = len(at)
    of_place = np.empty(n, np.int32)
    first = np.empty(n + 1, np.int64)
    person = np.empty(n, np.int32)
    index = np.empty(n, np.int32)
    sessions = np.zeros(n, np.int64)
    person_sessions = np.zeros(len(start) - 1, np.int64)
    seen_journey = np.full(session_count, -1, np.int32)
    seen_person = np.full(session_count, -1, np.int32)
    j = -1
    for p in range(len(start) - 1):
        number = 0
        for i in range(start[p], start[p + 1]):
            if i == start[p] or at[i] - at[i - 1] > timeout:
                number += 1
                j += 1
                first[j] = i
                person[j] = p
                index[j] = number
            of_place[i] = number
            s = session[i]
            if s >= 0 and seen_journey[s] != j:
                seen_journey[s] = j
                sessions[j] += 1
                if seen_person[s] != p:
                    seen_person[s] = p
                    person_sessions[p] += 1
    count = j + 1
    first[count] = n
    return (
        first[: count + 1].copy(),
        person[:count].copy(),
        index[:count].copy(),
        sessions[:count].copy(),
        of_place,
        person_sessions,
    )
