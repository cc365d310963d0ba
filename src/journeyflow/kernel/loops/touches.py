"""The journeys of the map, and what they touched in each stage."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from journeyflow.kernel.loops.compiled import compiled
from journeyflow.kernel.loops.search import first_above
from journeyflow.kernel.loops.values import Bools, Int16s, Int32s, Int64s

_LEAST_ROWS = 1024
_ROW, _CELL, _COUNT, _WAIT = range(4)


class SubjectTables(NamedTuple):
    """The subjects of touches, numbered by `subject_ix`.

    An event of kind `k` touches `items[start[k] : start[k + 1]]`, and only those from `loose[k]` on where it is
    unclassified. `returns` is the subject of a return to a stage (0-based), 0 for none.
    """

    start: Int64s
    loose: Int64s
    items: Int32s
    returns: Int32s


@compiled
def pick_journeys(
    journey_start: Int64s, journey_person: Int32s, at: Int64s, stage: Int16s, window: int, day_start: Int64s,
    day_month: Int32s,
) -> tuple[Int32s, Int16s, Int32s, Bools]:  # fmt: skip
    """Return (journey, depth, month, is the person's furthest): each person's furthest journey begun in a month.

    The earliest among equals; a journey that reaches no stage within `window` of its first event is none of them.
    """
    journeys = len(journey_person)
    journey = np.empty(journeys, np.int32)
    depth = np.empty(journeys, np.int16)
    month = np.empty(journeys, np.int32)
    is_furthest = np.zeros(journeys, np.bool_)
    count = 0
    best = -1
    for j in range(journeys):
        if j > 0 and journey_person[j] != journey_person[j - 1]:
            best = -1
        its_depth = _depth_of(journey_start[j], journey_start[j + 1], at, stage, window)
        if its_depth == 0:
            continue
        its_month = day_month[first_above(day_start, 0, len(day_start), at[journey_start[j]]) - 1]
        # The rows of a person are in the order of time, so a month's journeys follow one another.
        if best >= 0 and month[count - 1] == its_month:
            if its_depth <= depth[count - 1]:
                continue
        else:
            count += 1
        journey[count - 1] = j
        depth[count - 1] = its_depth
        month[count - 1] = its_month
        if best < 0 or its_depth > depth[best] or best == count - 1:
            if best >= 0:
                is_furthest[best] = False
            best = count - 1
            is_furthest[best] = True
    return (
        journey[:count].copy(),
        depth[:count].copy(),
        month[:count].copy(),
        is_furthest[:count].copy(),
    )


@compiled
def _depth_of(lo: int, hi: int, at: Int64s, stage: Int16s, window: int) -> int:
    depth = 0
    for place in range(lo, hi):
        if at[place] - at[lo] > window:
            break
        depth = max(depth, stage[place])
    return depth


@compiled
def touch_stages(
    journey_start: Int64s, journey: Int32s, at: Int64s, kind: Int32s, stage: Int16s, stages: int, window: int,
    tables: SubjectTables, subjects: int,
) -> tuple[Int64s, Int32s, Int16s, Int32s, Int32s, Int64s]:  # fmt: skip
    """Return the visited stages of each `journey`, and its touches.

    Visited stages are a bit each, the first stage the lowest. Touches are (row of `journey`, stage, subject, number,
    longest wait in microseconds or -1). A wait lasts from a touch to the journey's next event, unless that is the one
    that goes beyond the stage.
    """
    found = np.empty((_LEAST_ROWS, 4), np.int64)
    # By stage and subject: where the touches of a journey are, when it is one of those from `first` on.
    slot = np.full(stages * subjects, -1, np.int64)
    is_visited = np.empty(stages, np.bool_)
    is_passed = np.empty(stages, np.bool_)
    visited = np.zeros(len(journey), np.int64)
    rows = 0
    for picked in range(len(journey)):
        first = rows
        lo, stop = _inside(journey_start, journey[picked], at, window)
        is_visited[:] = False
        is_passed[:] = False
        current = 0
        for place in range(lo, stop):
            its_stage = stage[place]
            item, items_stop = tables.loose[kind[place]], tables.start[kind[place] + 1]
            if its_stage > 0:
                item = tables.start[kind[place]]
                for s in range(its_stage - 1):
                    is_passed[s] |= is_visited[s]
                if its_stage < current and not is_passed[current - 1] and tables.returns[its_stage - 1] > 0:
                    found = _with_room(found, rows + 1)
                    here = (current - 1) * subjects + tables.returns[its_stage - 1]
                    rows = _touch(found, slot, first, rows, picked, here, -1)
                current = its_stage
                is_visited[current - 1] = True
                visited[picked] |= np.int64(1) << (current - 1)
            if current == 0 or is_passed[current - 1]:
                continue
            waited = -1
            if place + 1 < stop and stage[place + 1] <= current:
                waited = at[place + 1] - at[place]
            found = _with_room(found, rows + items_stop - item)
            for i in range(item, items_stop):
                here = (current - 1) * subjects + tables.items[i]
                rows = _touch(found, slot, first, rows, picked, here, waited)
    cell = found[:rows, _CELL]
    return (
        visited,
        found[:rows, _ROW].astype(np.int32),
        (cell // subjects + 1).astype(np.int16),
        (cell % subjects).astype(np.int32),
        found[:rows, _COUNT].astype(np.int32),
        found[:rows, _WAIT].copy(),
    )


@compiled
def _inside(journey_start: Int64s, journey: int, at: Int64s, window: int) -> tuple[int, int]:
    """Return the places of a journey within `window` of its first event."""
    lo, hi = journey_start[journey], journey_start[journey + 1]
    stop = lo
    while stop < hi and at[stop] - at[lo] <= window:
        stop += 1
    return lo, stop


@compiled
def _touch(
    found: Int64s,
    slot: Int64s,
    first: int,
    rows: int,
    picked: int,
    here: int,
    waited: int,
) -> int:
    """Add a touch to those of the journey in hand, which begin at `first`; return how many rows there are now."""
    its_row = slot[here]
    if its_row >= first:
        found[its_row, _COUNT] += 1
        found[its_row, _WAIT] = max(found[its_row, _WAIT], waited)
        return rows
    slot[here] = rows
    found[rows, _ROW] = picked
    found[rows, _CELL] = here
    found[rows, _COUNT] = 1
    found[rows, _WAIT] = waited
    return rows + 1


@compiled
def _with_room(found: Int64s, rows: int) -> Int64s:
    """Return the rows in an array that has room for so many."""
    if rows <= len(found):
        return found
    longer = np.empty((2 * max(rows, len(found)), found.shape[1]), np.int64)
    longer[: len(found)] = found
    return longer
