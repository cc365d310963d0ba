"""The events of a chunk regrouped by person, with ties, journeys and sessions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from journeyflow.kernel.compiled import compiled
from journeyflow.kernel.events import NO_SEQUENCE, EventArrays


@dataclass(frozen=True, eq=False)
class Grouping:
    """Events regrouped by a unit, in time order within each.

    `order` maps a place of the grouping to the position in the chunk; unit `u` has the places `[start[u], start[u + 1])`.
    `rank` numbers the instants of a unit: tied events share one.
    """

    order: npt.NDArray[np.int32]
    start: npt.NDArray[np.int64]
    rank: npt.NDArray[np.int32]


def group_events(events: EventArrays, number: npt.NDArray[np.int32], unit_count: int) -> Grouping:
    """Return the events grouped by the dense unit `number` of each, -1 for none; order within a unit is kept."""
    order, start = _counting_sort(number, unit_count)
    return Grouping(order, start, rank_units(order, start, events.occurred_us, events.source_ix, events.sequence))


def rank_units(
    order: npt.NDArray[np.int32],
    start: npt.NDArray[np.int64],
    at: npt.NDArray[np.int64],
    source: npt.NDArray[np.int32],
    sequence: npt.NDArray[np.int64],
) -> npt.NDArray[np.int32]:
    """Return the rank of each place in its unit: within an instant the sequence orders events of one source, else all tie."""
    return _rank(order, start, at, source, sequence, NO_SEQUENCE)  # type: ignore[no-any-return]


def number_within(component: npt.NDArray[np.uint64], key: npt.NDArray[np.uint64]) -> tuple[npt.NDArray[np.int32], int]:
    """Return dense numbers of `key` in the order of first sight within each component, and how many there are."""
    numbers, count = _number_within(component, key)
    return numbers, int(count)


@compiled
def _number_within(component, key):  # type: ignore[no-untyped-def]
    n = len(key)
    number = np.empty(n, np.int32)
    widest = 1
    start = 0
    for i in range(1, n + 1):
        if i == n or component[i] != component[start]:
            widest = max(widest, i - start)
            start = i
    size = 8
    while size < 2 * widest:
        size *= 2
    keys = np.zeros(size, np.uint64)
    values = np.zeros(size, np.int32)
    used = np.zeros(size, np.int32)
    count = 0
    mark = 0
    stop = 0
    mask = np.uint64(7)
    for i in range(n):
        if i == stop:
            mark += 1
            stop = i + 1
            while stop < n and component[stop] == component[i]:
                stop += 1
            size = 8
            while size < 2 * (stop - i):
                size *= 2
            mask = np.uint64(size - 1)
        elif key[i] == key[i - 1]:
            number[i] = number[i - 1]
            continue
        place = np.int64((key[i] >> np.uint64(7)) & mask)
        while used[place] == mark and keys[place] != key[i]:
            place = np.int64((np.uint64(place) + np.uint64(1)) & mask)
        if used[place] != mark:
            used[place] = mark
            keys[place] = key[i]
            values[place] = count
            count += 1
        number[i] = values[place]
    return number, count


@compiled
def _counting_sort(number, unit_count):  # type: ignore[no-untyped-def]
    start = np.zeros(unit_count + 1, np.int64)
    for i in range(len(number)):
        if number[i] >= 0:
            start[number[i] + 1] += 1
    for u in range(unit_count):
        start[u + 1] += start[u]
    order = np.empty(start[unit_count], np.int32)
    free = start[:-1].copy()
    for i in range(len(number)):
        if number[i] >= 0:
            order[free[number[i]]] = i
            free[number[i]] += 1
    return order, start


@compiled
def _rank(order, start, at, source, sequence, no_sequence):  # type: ignore[no-untyped-def]
    rank = np.empty(len(order), np.int32)
    for u in range(len(start) - 1):
        current = -1
        i = start[u]
        while i < start[u + 1]:
            first = order[i]
            stop = i + 1
            is_ordered = sequence[first] != no_sequence
            while stop < start[u + 1] and at[order[stop]] == at[first]:
                each = order[stop]
                if sequence[each] == no_sequence or source[each] != source[first]:
                    is_ordered = False
                stop += 1
            current += 1
            rank[i] = current
            for j in range(i + 1, stop):
                if is_ordered and sequence[order[j]] != sequence[order[j - 1]]:
                    current += 1
                rank[j] = current
            i = stop
    return rank
