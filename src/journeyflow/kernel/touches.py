"""The journeys that the map counts, and what they touched in each stage."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from journeyflow.kernel.journeys import packed
from journeyflow.kernel.loops.touches import SubjectTables, pick_journeys, touch_stages
from journeyflow.kernel.loops.values import Int64s
from journeyflow.kernel.plan import SECOND_US, KernelPlan, StageFunnel
from journeyflow.kernel.reading import Chunk
from journeyflow.kernel.schemas import table


@lru_cache(maxsize=4)
def subject_tables(plan: KernelPlan, *, of_passes: bool) -> SubjectTables:
    """Return the subjects of passes, or of the map, as flat arrays; of a kind's, those of unclassified events last."""
    subjects = [each for each in plan.subjects if (each.is_of_passes if of_passes else each.is_of_people)]
    classified = [subject for subject in subjects if not subject.is_loose]
    loose = [subject for subject in subjects if subject.is_loose]
    by_kind = [
        [[each.subject_ix for each in some if each.when[kind]] for some in (classified, loose)]
        for kind in range(plan.kind_count)
    ]
    start, items = packed([[*few, *more] for few, more in by_kind])
    returns = np.zeros(max((model.stage_count for model in plan.models), default=0), np.int32)
    for subject in subjects:
        if 0 < subject.return_stage <= len(returns):
            returns[subject.return_stage - 1] = subject.subject_ix
    return SubjectTables(start, start[1:] - np.array([len(more) for _, more in by_kind], np.int64), items, returns)


def map_tables(chunk: Chunk, funnel: StageFunnel, plan: KernelPlan) -> dict[str, pa.Table]:
    """Return the rows of `kernel.map_journeys` and `kernel.stage_touches` of one model.

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
    has_waits = np.zeros(max((each.subject_ix for each in plan.subjects), default=0) + 1, np.bool_)
    has_waits[[each.subject_ix for each in plan.subjects if each.has_waits]] = True
    visited, row, its_stage, subject, count, wait = touch_stages(
        journeys.start, journey, persons.at, persons.kind, stage, stages, funnel.window_us,
        subject_tables(plan, of_passes=False), len(has_waits),
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
        "subject_ix": subject,
        "touch_count": count,
        "longest_wait_seconds": (wait / SECOND_US, (wait < 0) | ~has_waits[subject]),
    }
    return {
        "kernel.map_journeys": table("kernel.map_journeys", picked),
        "kernel.stage_touches": table("kernel.stage_touches", touches),
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
