"""Journeys of the map and their interactions with exposures in each stage."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from journeyflow.kernel.events import Chunk
from journeyflow.kernel.jit import Bools, Int16s, Int32s, Int64s, compiled, first_above
from journeyflow.kernel.plan import SECOND_US, KernelPlan, StageFunnelPlan
from journeyflow.kernel.schemas import table
from journeyflow.kernel.stages import packed

_LEAST_ROWS = 1024
_ROW, _CELL, _COUNT, _WAIT = range(4)


class ExposureTables(NamedTuple):
    """The subjects of touches, numbered by `exposure_ix`.

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
def stage_interactions(
    journey_start: Int64s, journey: Int32s, at: Int64s, kind: Int32s, stage: Int16s, stages: int, window: int,
    tables: ExposureTables, subjects: int,
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
                    rows = _interact(found, slot, first, rows, picked, here, -1)
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
                rows = _interact(found, slot, first, rows, picked, here, waited)
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
def _interact(
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


@lru_cache(maxsize=4)
def exposure_tables(plan: KernelPlan, *, of_passes: bool) -> ExposureTables:
    """Return the subjects of passes, or of the map, as flat arrays; of a kind's, those of unclassified events last."""
    subjects = [each for each in plan.subjects if (each.is_of_passes if of_passes else each.is_of_people)]
    classified = [subject for subject in subjects if not subject.is_loose]
    loose = [subject for subject in subjects if subject.is_loose]
    by_kind = [
        [[each.exposure_ix for each in some if each.when[kind]] for some in (classified, loose)]
        for kind in range(plan.kind_count)
    ]
    start, items = packed([[*few, *more] for few, more in by_kind])
    returns = np.zeros(max((model.stage_count for model in plan.models), default=0), np.int32)
    for subject in subjects:
        if 0 < subject.return_stage <= len(returns):
            returns[subject.return_stage - 1] = subject.exposure_ix
    return ExposureTables(start, start[1:] - np.array([len(more) for _, more in by_kind], np.int64), items, returns)


def map_tables(chunk: Chunk, funnel: StageFunnelPlan, plan: KernelPlan) -> dict[str, pa.Table]:
    """Return the rows of `kernel.map_journeys` and `kernel.stage_interactions` of one model.

    References
    ----------
    docs/adr/0016-map-population.md
    """
    persons, journeys = chunk.persons, chunk.journeys
    stage = persons.stage[funnel.model_index - 1]
    months, day_month = _months(plan)
    journey, depth, month, is_furthest = pick_journeys(
        journeys.start, journeys.person, persons.at, stage, funnel.window_us, plan.day_start_us, day_month
    )
    stages = plan.model(funnel.model_index).stage_count
    has_waits = np.zeros(max((each.exposure_ix for each in plan.subjects), default=0) + 1, np.bool_)
    has_waits[[each.exposure_ix for each in plan.subjects if each.has_waits]] = True
    visited, row, its_stage, subject, count, wait = stage_interactions(
        journeys.start, journey, persons.at, persons.kind, stage, stages, funnel.window_us,
        exposure_tables(plan, of_passes=False), len(has_waits),
    )  # fmt: skip
    first = journeys.start[journey]
    entered = persons.at[first]
    is_matured = entered + funnel.window_us <= plan.high_water_us
    picked = {
        "model_index": np.full(len(journey), funnel.model_index),
        "person_key": persons.person_key[first],
        "journey_index": persons.journey_index[first],
        "entered_at": entered,
        "month": months.take(pa.array(month)),
        "depth": depth,
        "visited_stages": _digits(visited, stages),
        "is_pending": ~is_matured & (depth < stages),
        "is_matured": is_matured,
        "is_furthest": is_furthest,
        "is_furthest_in_month": np.ones(len(journey), np.bool_),
    }
    touches = {
        "model_index": np.full(len(row), funnel.model_index),
        "person_key": picked["person_key"][row],
        "journey_index": picked["journey_index"][row],
        "stage_index": its_stage,
        "exposure_ix": subject,
        "touch_count": count,
        "longest_wait_seconds": (wait / SECOND_US, (wait < 0) | ~has_waits[subject]),
    }
    return {
        "kernel.map_journeys": table("kernel.map_journeys", picked),
        "kernel.stage_interactions": table("kernel.stage_interactions", touches),
    }


@lru_cache(maxsize=4)
def _months(plan: KernelPlan) -> tuple[pa.Array, npt.NDArray[np.int32]]:
    """Return the names of the months of the plan's days, and the number of its month by day."""
    names, number = np.unique(
        plan.day_date.astype("datetime64[D]").astype("datetime64[M]").astype(str), return_inverse=True
    )
    return pa.array(names.tolist(), pa.string()), number.astype(np.int32)


def _digits(visited: Int64s, stages: int) -> pa.Array:
    """Return bits as text, the lowest first."""
    masks, number = np.unique(visited, return_inverse=True)
    texts = [f"{mask:0{stages}b}"[::-1] for mask in masks.tolist()]
    return pa.array(texts, pa.string()).take(pa.array(number))
