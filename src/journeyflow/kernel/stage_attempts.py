"""Stage attempts: when each opened, whether it advanced, and its interactions."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from journeyflow.kernel.events import Chunk
from journeyflow.kernel.interactions import ExposureTables, exposure_tables
from journeyflow.kernel.jit import Int16s, Int32s, Int64s, compiled
from journeyflow.kernel.plan import SECOND_US, KernelPlan, StageFunnelPlan
from journeyflow.kernel.schemas import table

JOURNEY, STAGE, NUMBER, OPENED, WENT_ON, EVENTS = range(6)
PASS, SUBJECT, TOUCHES, WAIT = range(4)


@compiled
def find_stage_attempts(
    journey_start: Int64s, at: Int64s, kind: Int32s, session: Int32s, stage: Int16s, stages: int, window: int,
    tables: ExposureTables, subjects: int,
) -> tuple[Int64s, Int64s]:  # fmt: skip
    """Return the passes of all journeys, and their touches.

    Passes are (journey, stage, number from 1 within journey and stage, opened at, went on, events of the stage).
    Touches are (row of the pass, subject, number, longest wait in microseconds or -1), one row for each subject of a
    pass. Within a session order does not matter: who was beyond a stage before has gone on from it, and what follows
    in the session in which a pass went on belongs to it still. At the last stage, from which nobody goes on, only what
    unclassified events touch too is told.
    """
    passes = np.empty((len(at), 6), np.int64)
    touches = np.empty((_most_interactions(kind, tables), 4), np.int64)
    # By stage and subject: the last row of touches.
    slot = np.full(stages * subjects, -1, np.int64)
    opened = np.empty(stages, np.int64)
    number = np.empty(stages, np.int64)
    # By stage: the session of the latest event beyond it, the pass that went on last, and the session in which it did.
    beyond = np.empty(stages, np.int64)
    gone = np.empty(stages, np.int64)
    gone_in = np.empty(stages, np.int64)
    count = rows = 0
    for j in range(len(journey_start) - 1):
        opened[:] = -1
        number[:] = 0
        beyond[:] = -1
        gone_in[:] = -1
        current = 0
        stop = journey_start[j + 1]
        for place in range(journey_start[j], stop):
            its_stage, now = stage[place], at[place]
            if its_stage > 0:
                _go_beyond(its_stage, now, session[place], window, passes, opened, beyond, gone, gone_in)
                if its_stage < current < stages and tables.returns[its_stage - 1] > 0:
                    p = _attempt_at(current - 1, place, at, session, window, passes, opened, gone, gone_in)
                    if p >= 0:
                        subject = tables.returns[its_stage - 1]
                        rows = _record_interaction(
                            touches, slot, rows, (current - 1) * subjects + subject, p, subject, -1
                        )
                current = its_stage
            elif current == 0:
                continue
            k = current - 1
            p = _attempt_at(k, place, at, session, window, passes, opened, gone, gone_in)
            if p < 0 and its_stage == 0:
                continue
            if p < 0:
                p = count
                count += 1
                number[k] += 1
                has_gone = session[place] >= 0 and beyond[k] == session[place]
                passes[p, JOURNEY], passes[p, STAGE], passes[p, NUMBER] = j, current, number[k]
                passes[p, OPENED], passes[p, WENT_ON], passes[p, EVENTS] = now, has_gone, 0
                if has_gone:
                    gone[k], gone_in[k], opened[k] = p, session[place], -1
                else:
                    opened[k] = p
            passes[p, EVENTS] += its_stage > 0
            waited = -1
            if place + 1 < stop and stage[place + 1] <= current and at[place + 1] - passes[p, OPENED] <= window:
                waited = at[place + 1] - now
            first = tables.start[kind[place]] if 0 < its_stage < stages else tables.loose[kind[place]]
            for i in range(first, tables.start[kind[place] + 1]):
                subject = tables.items[i]
                rows = _record_interaction(touches, slot, rows, k * subjects + subject, p, subject, waited)
    return passes[:count].copy(), touches[:rows].copy()


@compiled
def _go_beyond(
    stage: int, now: int, session: int, window: int, passes: Int64s, opened: Int64s, beyond: Int64s, gone: Int64s,
    gone_in: Int64s,
) -> None:  # fmt: skip
    """End the open passes of the stages before `stage`; those whose window is not over have gone on."""
    for s in range(stage - 1):
        beyond[s] = session
        if opened[s] >= 0:
            if now - passes[opened[s], OPENED] <= window:
                passes[opened[s], WENT_ON] = 1
                gone[s], gone_in[s] = opened[s], session
            opened[s] = -1


@compiled
def _attempt_at(
    k: int, place: int, at: Int64s, session: Int32s, window: int, passes: Int64s, opened: Int64s, gone: Int64s,
    gone_in: Int64s,
) -> int:  # fmt: skip
    """Return the pass of stage `k` that an event is part of, -1 for none."""
    p = opened[k]
    if p >= 0 and at[place] - passes[p, OPENED] <= window:
        return int(p)
    if session[place] >= 0 and gone_in[k] == session[place]:
        return int(gone[k])
    return -1


@compiled
def _most_interactions(kind: Int32s, tables: ExposureTables) -> int:
    """Return how many touches there can be: those of every event, and a return at each."""
    most = len(kind)
    for k in kind:
        most += tables.start[k + 1] - tables.start[k]
    return most


@compiled
def _record_interaction(
    touches: Int64s, slot: Int64s, rows: int, cell: int, its_pass: int, subject: int, waited: int
) -> int:
    """Add a touch to those of a pass; return how many rows there are now."""
    row = slot[cell]
    if row >= 0 and touches[row, PASS] == its_pass:
        touches[row, TOUCHES] += 1
        touches[row, WAIT] = max(touches[row, WAIT], waited)
        return rows
    slot[cell] = rows
    touches[rows, PASS] = its_pass
    touches[rows, SUBJECT] = subject
    touches[rows, TOUCHES] = 1
    touches[rows, WAIT] = waited
    return rows + 1


def stage_attempt_table(chunk: Chunk, funnel: StageFunnelPlan, plan: KernelPlan) -> pa.Table:
    """Return the rows of `kernel.stage_attempts` of one model: one a pass (subject 0), and one each subject it touched.

    References
    ----------
    docs/adr/0017-pain-points.md
    """
    persons, journeys = chunk.persons, chunk.journeys
    stages, has_waits = plan.model(funnel.model_index).stage_count, _has_waits(plan)
    passes, touches = find_stage_attempts(
        journeys.start, persons.at, persons.kind, persons.session, persons.stage[funnel.model_index - 1], stages,
        funnel.window_us, exposure_tables(plan, of_passes=True), len(has_waits),
    )  # fmt: skip
    opened = passes[:, OPENED]
    first = journeys.start[passes[:, JOURNEY]]
    day = np.searchsorted(plan.day_start_us, opened, side="right") - 1
    of_pass: dict[str, npt.NDArray[Any]] = {
        "person_key": persons.person_key[first],
        "journey_index": persons.journey_index[first],
        "stage_index": passes[:, STAGE].astype(np.int32),
        "attempt_index": passes[:, NUMBER].astype(np.int32),
        "opened_at": opened,
        "month_number": _month_numbers(plan)[day],
        "is_advanced": passes[:, WENT_ON] > 0,
        "is_matured": opened + funnel.window_us <= plan.high_water_us,
    }
    row, subject, wait = (touches[:, column] for column in (PASS, SUBJECT, WAIT))
    waits = np.concatenate([np.full(len(passes), -1), np.where(has_waits[subject], wait, -1)])
    columns = {name: np.concatenate([values, values[row]]) for name, values in of_pass.items()}
    columns |= {
        "model_index": np.full(len(waits), funnel.model_index, np.int32),
        "exposure_ix": np.concatenate([np.zeros(len(passes), np.int32), subject.astype(np.int32)]),
        "touch_count": np.concatenate([passes[:, EVENTS], touches[:, TOUCHES]]).astype(np.int32),
    }
    return table("kernel.stage_attempts", {**columns, "longest_wait_seconds": (waits / SECOND_US, waits < 0)})


@lru_cache(maxsize=4)
def _has_waits(plan: KernelPlan) -> npt.NDArray[np.bool_]:
    """Return by subject whether the waits after it are told."""
    found = np.zeros(max((each.exposure_ix for each in plan.subjects), default=0) + 1, np.bool_)
    found[[each.exposure_ix for each in plan.subjects if each.has_waits]] = True
    return found


@lru_cache(maxsize=4)
def _month_numbers(plan: KernelPlan) -> npt.NDArray[np.int32]:
    """Return the month of each day of the plan, as 202603."""
    months = plan.day_date.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    return ((1970 + months // 12) * 100 + months % 12 + 1).astype(np.int32)
