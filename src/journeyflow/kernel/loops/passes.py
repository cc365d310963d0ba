"""The passes of journeys through stages: when each opened, whether it went on, and what it touched."""

from __future__ import annotations

import numpy as np

from journeyflow.kernel.loops.compiled import compiled
from journeyflow.kernel.loops.touches import SubjectTables
from journeyflow.kernel.loops.values import Int16s, Int32s, Int64s

JOURNEY, STAGE, NUMBER, OPENED, WENT_ON, EVENTS = range(6)
PASS, SUBJECT, TOUCHES, WAIT = range(4)


@compiled
def walk_passes(
    journey_start: Int64s, at: Int64s, kind: Int32s, session: Int32s, stage: Int16s, stages: int, window: int,
    tables: SubjectTables, subjects: int,
) -> tuple[Int64s, Int64s]:  # fmt: skip
    """Return the passes of all journeys, and their touches.

    Passes are (journey, stage, number from 1 within journey and stage, opened at, went on, events of the stage).
    Touches are (row of the pass, subject, number, longest wait in microseconds or -1), one row for each subject of a
    pass. Within a session order does not matter: who comes to a stage and was beyond it has gone on, and no stage is
    gone on from twice. At the last stage, from which nobody goes on, only what unclassified events touch too is told.
    """
    passes = np.empty((len(at), 6), np.int64)
    touches = np.empty((_most_touches(kind, tables), 4), np.int64)
    # By stage and subject: the last row of touches.
    slot = np.full(stages * subjects, -1, np.int64)
    opened = np.empty(stages, np.int64)
    number = np.empty(stages, np.int64)
    # By stage: the session of the latest event beyond it, and the one in which a pass last went on.
    beyond = np.empty(stages, np.int64)
    went_on = np.empty(stages, np.int64)
    count = 0
    rows = 0
    for j in range(len(journey_start) - 1):
        opened[:] = -1
        number[:] = 0
        beyond[:] = -1
        went_on[:] = -1
        current = 0
        stop = journey_start[j + 1]
        for place in range(journey_start[j], stop):
            its_stage, now = stage[place], at[place]
            if its_stage > 0:
                for s in range(its_stage - 1):
                    beyond[s] = session[place]
                    if opened[s] >= 0:
                        if now - passes[opened[s], OPENED] <= window:
                            passes[opened[s], WENT_ON] = 1
                            went_on[s] = session[place]
                        opened[s] = -1
                if its_stage < current < stages and tables.returns[its_stage - 1] > 0:
                    p = opened[current - 1]
                    if p >= 0 and now - passes[p, OPENED] <= window:
                        subject = tables.returns[its_stage - 1]
                        rows = _touch(touches, slot, rows, (current - 1) * subjects + subject, p, subject, -1)
                current = its_stage
                p = opened[current - 1]
                if p < 0 or now - passes[p, OPENED] > window:
                    opened[current - 1] = -1
                    is_same = session[place] >= 0 and beyond[current - 1] == session[place]
                    if is_same and went_on[current - 1] == session[place]:
                        continue
                    number[current - 1] += 1
                    p = count
                    if is_same:
                        went_on[current - 1] = session[place]
                    else:
                        opened[current - 1] = p
                    count += 1
                    passes[p, JOURNEY], passes[p, STAGE], passes[p, NUMBER] = j, current, number[current - 1]
                    passes[p, OPENED], passes[p, WENT_ON], passes[p, EVENTS] = now, is_same, 0
                passes[p, EVENTS] += 1
            elif current > 0:
                p = opened[current - 1]
                if p < 0 or now - passes[p, OPENED] > window:
                    continue
            else:
                continue
            waited = -1
            is_followed = opened[current - 1] == p and place + 1 < stop and stage[place + 1] <= current
            if is_followed and at[place + 1] - passes[p, OPENED] <= window:
                waited = at[place + 1] - now
            first = tables.start[kind[place]] if 0 < its_stage < stages else tables.loose[kind[place]]
            for i in range(first, tables.start[kind[place] + 1]):
                subject = tables.items[i]
                rows = _touch(touches, slot, rows, (current - 1) * subjects + subject, p, subject, waited)
    return passes[:count].copy(), touches[:rows].copy()


@compiled
def _most_touches(kind: Int32s, tables: SubjectTables) -> int:
    """Return how many touches there can be: those of every event, and a return at each."""
    most = len(kind)
    for k in kind:
        most += tables.start[k + 1] - tables.start[k]
    return most


@compiled
def _touch(touches: Int64s, slot: Int64s, rows: int, cell: int, its_pass: int, subject: int, waited: int) -> int:
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
