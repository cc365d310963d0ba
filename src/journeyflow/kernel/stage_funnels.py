"""The stage funnel of a model: the furthest journey of each person."""

from __future__ import annotations

import numpy as np

from journeyflow.kernel.compiled import compiled

PERSON, JOURNEY, DEPTH, PENDING, IN_ORDER = range(5)


@compiled
def read_stages(lo, hi, at, rank, stage, window, first, visited, beyond):  # type: ignore[no-untyped-def]
    """Read one journey within `window` of its first event; return (furthest stage, are first visits in order).

    Fills by 0-based stage the first place at it or beyond, the first visit, and the first place beyond after that visit.
    """
    first[:] = -1
    visited[:] = -1
    beyond[:] = -1
    furthest = 0
    place = lo
    while place < hi and at[place] - at[lo] <= window:
        k = stage[place]
        if k > 0:
            for j in range(furthest, k):
                first[j] = place
            furthest = max(furthest, k)
            for j in range(k - 1):
                if visited[j] >= 0 and beyond[j] < 0:
                    beyond[j] = place
            if visited[k - 1] < 0:
                visited[k - 1] = place
        place += 1
    latest = -1
    in_order = 1
    for j in range(furthest):
        if visited[j] >= 0:
            if rank[visited[j]] < latest:
                in_order = 0
            latest = max(latest, rank[visited[j]])
    return furthest, in_order


@compiled
def _write(rows, row, person, journey, depth, pending, in_order):  # type: ignore[no-untyped-def]
    rows[row, PERSON] = person
    rows[row, JOURNEY] = journey
    rows[row, DEPTH] = depth
    rows[row, PENDING] = pending
    rows[row, IN_ORDER] = in_order


@compiled
def read_persons(journey_start, journey_person, at, rank, stage, stages, window, high_water, day_start):  # type: ignore[no-untyped-def]
    """Return each person's furthest journey, the places of its stages, and the best journey of each person and day.

    Rows are (person, journey, furthest stage, is pending, is in order); places have a row per person's journey and a
    column per stage: first reached, first visited, first beyond after the visit.
    """
    journeys = len(journey_person)
    first = np.empty(stages, np.int64)
    visited = np.empty(stages, np.int64)
    beyond = np.empty(stages, np.int64)
    best = np.empty((journeys, 5), np.int64)
    days = np.empty((journeys, 5), np.int64)
    places = np.empty((journeys, 3, stages), np.int64)
    count = 0
    day_count = 0
    day = -1
    for j in range(journeys):
        lo, hi = journey_start[j], journey_start[j + 1]
        furthest, in_order = read_stages(lo, hi, at, rank, stage, window, first, visited, beyond)
        if furthest == 0:
            continue
        pending = 1 if furthest < stages and at[lo] + window > high_water else 0
        person = journey_person[j]
        if count == 0 or best[count - 1, PERSON] != person:
            count += 1
            best[count - 1, DEPTH] = 0
            day = -1
        if furthest > best[count - 1, DEPTH]:
            _write(best, count - 1, person, j, furthest, pending, in_order)
            places[count - 1, 0] = first
            places[count - 1, 1] = visited
            places[count - 1, 2] = beyond
        its_day = np.searchsorted(day_start, at[lo], side="right") - 1
        if its_day != day:
            day = its_day
            day_count += 1
            days[day_count - 1, DEPTH] = 0
        if furthest > days[day_count - 1, DEPTH]:
            _write(days, day_count - 1, person, j, furthest, pending, in_order)
    return best[:count].copy(), places[:count].copy(), days[:day_count].copy()
