"""Journeys of the map and their interactions with exposures in each stage."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from journeyflow.kernel.events import Chunk, table
from journeyflow.kernel.jit import Bools, Int16s, Int32s, Int64s, allocating, compiled, first_above, inner, longer
from journeyflow.kernel.plan import ExposureTables, KernelPlan, StageFunnelPlan

LEAST_ROWS = 1024
OWNER, CELL, COUNT = range(3)


@compiled
def pick_journeys(
    journey_start: Int64s, journey_person: Int32s, at: Int64s, stage: Int16s, window: int, day_start: Int64s,
    day_month: Int32s,
) -> tuple[Int32s, Int16s, Int32s, Bools]:  # fmt: skip
    """Return (journey, depth, month, is the person's furthest) of each person's furthest journey of each month.

    The earliest among equals; journeys that reach no stage within `window` of their first event do not count.
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


@inner
def _depth_of(lo: int, hi: int, at: Int64s, stage: Int16s, window: int) -> int:
    depth = 0
    for place in range(lo, hi):
        if at[place] - at[lo] > window:
            break
        depth = max(depth, stage[place])
    return depth


@compiled
def stage_interactions(
    journey_start: Int64s, journey: Int32s, at: Int64s, event_type: Int32s, stage: Int16s, stages: int, window: int,
    exposures: ExposureTables,
) -> tuple[Int64s, Int64s]:  # fmt: skip
    """Return the visited stages of each `journey`, and its interactions.

    Visited stages are a bit each, the first stage the lowest. Interactions are (row of `journey`, cell, number), a cell
    being a stage and an exposure, in rows of `exposures.width`.
    """
    found = np.empty((LEAST_ROWS, 3), np.int64)
    # By stage and exposure: the latest row.
    width = exposures.width
    slot = np.full(stages * width, -1, np.int64)
    is_visited = np.empty(stages, np.bool_)
    is_passed = np.empty(stages, np.bool_)
    visited = np.zeros(len(journey), np.int64)
    rows = 0
    for picked in range(len(journey)):
        lo, stop = _inside(journey_start, journey[picked], at, window)
        is_visited[:] = False
        is_passed[:] = False
        current = 0
        for place in range(lo, stop):
            its_stage = stage[place]
            item, items_stop = exposures.unclassified[event_type[place]], exposures.start[event_type[place] + 1]
            if its_stage > 0:
                item = exposures.start[event_type[place]]
                for s in range(its_stage - 1):
                    is_passed[s] |= is_visited[s]
                current = its_stage
                is_visited[current - 1] = True
                visited[picked] |= np.int64(1) << (current - 1)
            if current == 0 or is_passed[current - 1]:
                continue
            found = _with_room(found, rows + items_stop - item)
            for i in range(item, items_stop):
                cell = (current - 1) * width + exposures.items[i]
                rows = _add_interaction(found, slot, rows, picked, cell)
    return visited, found[:rows].copy()


@inner
def _inside(journey_start: Int64s, journey: int, at: Int64s, window: int) -> tuple[int, int]:
    """Return the places of a journey within `window` of its first event."""
    lo, hi = journey_start[journey], journey_start[journey + 1]
    stop = lo
    while stop < hi and at[stop] - at[lo] <= window:
        stop += 1
    return lo, stop


@inner
def _add_interaction(found: Int64s, slot: Int64s, rows: int, owner: int, cell: int) -> int:
    """Add an interaction of a journey, its `owner`, with a cell (stage and exposure); return how many rows.

    Rows are (owner, cell, number); `slot` has the latest row by cell, -1 for none.
    """
    row = slot[cell]
    if row >= 0 and found[row, OWNER] == owner:
        found[row, COUNT] += 1
        return rows
    slot[cell] = rows
    found[rows, OWNER] = owner
    found[rows, CELL] = cell
    found[rows, COUNT] = 1
    return rows + 1


@allocating
def _with_room(found: Int64s, rows: int) -> Int64s:
    """Return `found`, or a larger copy, with room for `rows`."""
    if rows <= len(found):
        return found
    return longer(found, len(found), 2 * max(rows, len(found)))


def map_tables(chunk: Chunk, funnel: StageFunnelPlan, plan: KernelPlan) -> dict[str, pa.Table]:
    """Return the rows of `kernel.map_journeys` and `kernel.stage_interactions` of one model.

    References
    ----------
    docs/adr/0016-map-population.md
    """
    persons = chunk.in_order[funnel.model_index - 1]
    journeys, exposures = chunk.journeys, plan.journey_exposures
    stage = persons.stage[funnel.model_index - 1]
    journey, depth, month, is_furthest = pick_journeys(
        journeys.start, journeys.person, persons.at, stage, funnel.window_us, plan.day_start_us, plan.day_month
    )
    stages = plan.model(funnel.model_index).stage_count
    visited, interactions = stage_interactions(
        journeys.start, journey, persons.at, persons.event_type, stage, stages, funnel.window_us, exposures
    )
    row, cell, count = interactions.T
    first = journeys.start[journey]
    entered = persons.at[first]
    is_matured = entered + funnel.window_us <= plan.high_water_us
    picked = {
        "model_index": np.full(len(journey), funnel.model_index),
        "person_key": persons.person_key[first],
        "journey_index": persons.journey_index[first],
        "entered_at": entered,
        "month": _texts(month, lambda number: f"{number // 100}-{number % 100:02}"),
        "depth": depth,
        "visited_stages": _texts(visited, lambda bits: f"{bits:0{stages}b}"[::-1]),
        "is_pending": ~is_matured & (depth < stages),
        "is_matured": is_matured,
        "is_furthest": is_furthest,
        "is_furthest_in_month": np.ones(len(journey), np.bool_),
    }
    counted = {
        "model_index": np.full(len(row), funnel.model_index),
        "person_key": picked["person_key"][row],
        "journey_index": picked["journey_index"][row],
        "stage_index": cell // exposures.width + 1,
        "exposure_ix": cell % exposures.width,
        "touch_count": count,
    }
    return {
        "kernel.map_journeys": table("kernel.map_journeys", picked),
        "kernel.stage_interactions": table("kernel.stage_interactions", counted),
    }


def _texts(values: Int64s | Int32s, text: Callable[[int], str]) -> pa.Array:
    """Return the texts of numbers; few of them are distinct."""
    distinct, number = np.unique(values, return_inverse=True)
    return pa.array([text(value) for value in distinct.tolist()], pa.string()).take(pa.array(number))
