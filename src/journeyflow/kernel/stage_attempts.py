"""Stage attempts: when each opened, whether it advanced, and its interactions."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from journeyflow.kernel.events import Chunk
from journeyflow.kernel.interactions import CELL, COUNT, LEAST_ROWS, OWNER, WAIT, add_interaction, with_room
from journeyflow.kernel.jit import Int16s, Int32s, Int64s, compiled
from journeyflow.kernel.plan import SECOND_US, ExposureTables, KernelPlan, StageFunnelPlan
from journeyflow.kernel.tables import table

JOURNEY, STAGE, NUMBER, OPENED, ADVANCED, EVENTS = range(6)


@compiled
def find_stage_attempts(
    journey_start: Int64s, at: Int64s, event_type: Int32s, session: Int32s, stage: Int16s, stages: int, window: int,
    exposures: ExposureTables,
) -> tuple[Int64s, Int64s]:  # fmt: skip
    """Return the stage attempts of all journeys, and their interactions (the rows of `add_interaction`).

    Attempts are (journey, stage, number from 1, opened at, is advanced, events of the stage). Within a session order
    does not matter: an attempt that opens after an event beyond its stage has advanced, and what follows is part of it.
    """
    attempts = np.empty((len(at), 6), np.int64)
    interactions = np.empty((LEAST_ROWS, 4), np.int64)
    width = len(exposures.has_waits)
    slot = np.full(stages * width, -1, np.int64)
    opened, number = np.empty(stages, np.int64), np.empty(stages, np.int64)
    # By stage: the session of the latest event beyond it, the attempt that advanced last, and the session in which.
    beyond = np.empty(stages, np.int64)
    advanced = np.empty(stages, np.int64)
    advanced_in = np.empty(stages, np.int64)
    count = rows = 0
    for j in range(len(journey_start) - 1):
        opened[:] = -1
        number[:] = 0
        beyond[:] = -1
        advanced_in[:] = -1
        current = 0
        stop = journey_start[j + 1]
        for place in range(journey_start[j], stop):
            its_stage, now = stage[place], at[place]
            if its_stage > 0:
                _go_beyond(its_stage, now, session[place], window, attempts, opened, beyond, advanced, advanced_in)
                if its_stage < current < stages and exposures.returns[its_stage - 1] > 0:
                    p = _attempt_at(current - 1, place, at, session, window, attempts, opened, advanced, advanced_in)
                    if p >= 0:
                        cell = (current - 1) * width + exposures.returns[its_stage - 1]
                        interactions = with_room(interactions, rows + 1)
                        rows = add_interaction(interactions, slot, rows, p, cell, -1)
                current = its_stage
            elif current == 0:
                continue
            k = current - 1
            p = _attempt_at(k, place, at, session, window, attempts, opened, advanced, advanced_in)
            if p < 0 and its_stage == 0:
                continue
            if p < 0:
                p = count
                count += 1
                number[k] += 1
                has_advanced = session[place] >= 0 and beyond[k] == session[place]
                attempts[p, JOURNEY], attempts[p, STAGE], attempts[p, NUMBER] = j, current, number[k]
                attempts[p, OPENED], attempts[p, ADVANCED], attempts[p, EVENTS] = now, has_advanced, 0
                if has_advanced:
                    advanced[k], advanced_in[k], opened[k] = p, session[place], -1
                else:
                    opened[k] = p
            attempts[p, EVENTS] += its_stage > 0
            waited = -1
            if place + 1 < stop and stage[place + 1] <= current and at[place + 1] - attempts[p, OPENED] <= window:
                waited = at[place + 1] - now
            first, last = exposures.unclassified[event_type[place]], exposures.start[event_type[place] + 1]
            if 0 < its_stage < stages:  # No attempt advances from the last stage.
                first = exposures.start[event_type[place]]
            interactions = with_room(interactions, rows + last - first)
            for i in range(first, last):
                rows = add_interaction(interactions, slot, rows, p, k * width + exposures.items[i], waited)
    return attempts[:count].copy(), interactions[:rows].copy()


@compiled
def _go_beyond(
    stage: int, now: int, session: int, window: int, attempts: Int64s, opened: Int64s, beyond: Int64s, advanced: Int64s,
    advanced_in: Int64s,
) -> None:  # fmt: skip
    """End the open attempts of the stages before `stage`; those inside their window have advanced."""
    for s in range(stage - 1):
        beyond[s] = session
        if opened[s] >= 0:
            if now - attempts[opened[s], OPENED] <= window:
                attempts[opened[s], ADVANCED] = 1
                advanced[s], advanced_in[s] = opened[s], session
            opened[s] = -1


@compiled
def _attempt_at(
    k: int, place: int, at: Int64s, session: Int32s, window: int, attempts: Int64s, opened: Int64s, advanced: Int64s,
    advanced_in: Int64s,
) -> int:  # fmt: skip
    """Return the attempt at stage `k` that an event is part of, -1 for none."""
    p = opened[k]
    if p >= 0 and at[place] - attempts[p, OPENED] <= window:
        return int(p)
    if session[place] >= 0 and advanced_in[k] == session[place]:
        return int(advanced[k])
    return -1


def stage_attempt_table(chunk: Chunk, funnel: StageFunnelPlan, plan: KernelPlan) -> pa.Table:
    """Return the rows of `kernel.stage_attempts` of one model: for each attempt (exposure 0) and each of its exposures.

    References
    ----------
    docs/adr/0017-pain-points.md
    """
    persons = chunk.in_order[funnel.model_index - 1]
    journeys, exposures = chunk.journeys, plan.attempt_exposures
    attempts, interactions = find_stage_attempts(
        journeys.start, persons.at, persons.event_type, persons.session, persons.stage[funnel.model_index - 1],
        plan.model(funnel.model_index).stage_count, funnel.window_us, exposures,
    )  # fmt: skip
    opened = attempts[:, OPENED]
    first = journeys.start[attempts[:, JOURNEY]]
    of_attempt: dict[str, npt.NDArray[Any]] = {
        "person_key": persons.person_key[first],
        "journey_index": persons.journey_index[first],
        "stage_index": attempts[:, STAGE].astype(np.int32),
        "attempt_index": attempts[:, NUMBER].astype(np.int32),
        "opened_at": opened,
        "month_number": plan.day_month[plan.day(opened)],
        "is_advanced": attempts[:, ADVANCED] > 0,
        "is_matured": opened + funnel.window_us <= plan.high_water_us,
    }
    row, exposure, wait = (
        interactions[:, OWNER],
        interactions[:, CELL] % len(exposures.has_waits),
        interactions[:, WAIT],
    )
    waits = np.concatenate([np.full(len(attempts), -1), np.where(exposures.has_waits[exposure], wait, -1)])
    columns = {name: np.concatenate([values, values[row]]) for name, values in of_attempt.items()}
    columns |= {
        "model_index": np.full(len(waits), funnel.model_index, np.int32),
        "exposure_ix": np.concatenate([np.zeros(len(attempts), np.int32), exposure.astype(np.int32)]),
        "touch_count": np.concatenate([attempts[:, EVENTS], interactions[:, COUNT]]).astype(np.int32),
    }
    return table("kernel.stage_attempts", {**columns, "longest_wait_seconds": (waits / SECOND_US, waits < 0)})
