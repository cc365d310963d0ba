"""Group events by unit and cut them into journeys (compiled)."""

from __future__ import annotations

import numpy as np

from journeyflow.kernel.hash_table import component_stop, find_slot, largest_component, new_table, table_size, take_slot
from journeyflow.kernel.jit import Int32s, Int64s, UInt64s, compiled


@compiled
def number_within(component: UInt64s, key: UInt64s) -> tuple[Int32s, int, bool]:
    """Return dense numbers of `key` by first sight within components, their count, and whether none ever falls.

    In that case the events are grouped already.
    """
    is_grouped = True
    number = np.empty(len(key), np.int32)
    table = new_table(largest_component(component))
    nothing = np.uint64(0)
    count = 0
    owner = 0
    start = 0
    while start < len(key):
        stop = component_stop(component, start)
        owner += 1
        size = table_size(stop - start)
        for i in range(start, stop):
            if i > start and key[i] == key[i - 1]:
                number[i] = number[i - 1]
                continue
            slot = find_slot(table, size, owner, key[i], nothing)
            if table.owners[slot] != owner:
                take_slot(table, slot, owner, key[i], nothing, count)
                count += 1
            number[i] = table.values[slot]
            is_grouped = is_grouped and number[i] == count - 1
        start = stop
    return number, count, is_grouped


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
