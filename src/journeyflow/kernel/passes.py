"""The passes of journeys through the stages of a model, and what they touched, as rows of `kernel.stage_passes`."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from journeyflow.kernel.loops import passes as walked
from journeyflow.kernel.plan import SECOND_US, KernelPlan, StageFunnel
from journeyflow.kernel.reading import Chunk
from journeyflow.kernel.schemas import table
from journeyflow.kernel.touches import subject_tables


def pass_table(chunk: Chunk, funnel: StageFunnel, plan: KernelPlan) -> pa.Table:
    """Return the rows of `kernel.stage_passes` of one model: one a pass (subject 0), and one each subject it touched.

    References
    ----------
    docs/adr/0017-pain-points.md
    """
    persons, journeys = chunk.persons, chunk.journeys
    stages, has_waits = plan.model(funnel.model_index).stage_count, _has_waits(plan)
    passes, touches = walked.walk_passes(
        journeys.start, persons.at, persons.kind, persons.session, persons.stage[funnel.model_index - 1], stages,
        funnel.window_us, subject_tables(plan, of_passes=True), len(has_waits),
    )  # fmt: skip
    opened = passes[:, walked.OPENED]
    first = journeys.start[passes[:, walked.JOURNEY]]
    day = np.searchsorted(plan.day_start_us, opened, side="right") - 1
    of_pass: dict[str, npt.NDArray[Any]] = {
        "person_key": persons.person_key[first],
        "journey_index": persons.journey_index[first],
        "stage_index": passes[:, walked.STAGE].astype(np.int32),
        "pass_index": passes[:, walked.NUMBER].astype(np.int32),
        "opened_at": opened,
        "month_number": _month_numbers(plan)[day],
        "is_went_on": passes[:, walked.WENT_ON] > 0,
        "is_matured": opened + funnel.window_us <= plan.high_water_us,
    }
    row, subject, wait = (touches[:, column] for column in (walked.PASS, walked.SUBJECT, walked.WAIT))
    waits = np.concatenate([np.full(len(passes), -1), np.where(has_waits[subject], wait, -1)])
    columns = {name: np.concatenate([values, values[row]]) for name, values in of_pass.items()}
    columns |= {
        "model_index": np.full(len(waits), funnel.model_index, np.int32),
        "subject_ix": np.concatenate([np.zeros(len(passes), np.int32), subject.astype(np.int32)]),
        "touch_count": np.concatenate([passes[:, walked.EVENTS], touches[:, walked.TOUCHES]]).astype(np.int32),
    }
    return table("kernel.stage_passes", {**columns, "longest_wait_seconds": (waits / SECOND_US, waits < 0)})


@lru_cache(maxsize=4)
def _has_waits(plan: KernelPlan) -> npt.NDArray[np.bool_]:
    """Return by subject whether the waits after it are told."""
    found = np.zeros(max((each.subject_ix for each in plan.subjects), default=0) + 1, np.bool_)
    found[[each.subject_ix for each in plan.subjects if each.has_waits]] = True
    return found


@lru_cache(maxsize=4)
def _month_numbers(plan: KernelPlan) -> npt.NDArray[np.int32]:
    """Return the month of each day of the plan, as 202603."""
    months = plan.day_date.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    return ((1970 + months // 12) * 100 + months % 12 + 1).astype(np.int32)
