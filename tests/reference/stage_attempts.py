"""Stage attempts of one journey and their interactions, each read by itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from journeyflow.kernel.plan import SECOND_US, ExposurePlan
from reference.interactions import Interaction, is_exposed


@dataclass
class StageAttempt:
    """One attempt at a stage: its opening, its events, and the session in which it advanced."""

    stage: int
    number: int
    opened_at: int
    is_advanced: bool = False
    advanced_in: int | None = None
    events: list[int] = field(default_factory=list)


def stage_attempts_of(
    times: list[int], stages: list[int], sessions: list[int | None], stage: int, window_us: int
) -> list[StageAttempt]:
    """Return the attempts of one journey at a stage, given the times, stages and sessions of its events."""
    attempts: list[StageAttempt] = []
    is_open = False
    beyond: int | None = None
    for i, session in enumerate(sessions):
        is_open = is_open and times[i] - attempts[-1].opened_at <= window_us
        if stages[i] > stage:
            beyond = session
            if is_open:
                attempts[-1].is_advanced, attempts[-1].advanced_in, is_open = True, session, False
            continue
        if stages[i] != stage and _before(i, stages) != stage:
            continue
        advanced = [each for each in attempts if each.is_advanced]
        if is_open:
            attempts[-1].events.append(i)
        elif session is not None and advanced and advanced[-1].advanced_in == session:
            advanced[-1].events.append(i)
        elif stages[i] == stage:
            has_advanced = session is not None and session == beyond
            attempts.append(
                StageAttempt(stage, len(attempts) + 1, times[i], has_advanced, session if has_advanced else None, [i])
            )
            is_open = not has_advanced
    return attempts


def attempt_interactions(
    one: StageAttempt,
    times: list[int],
    event_types: list[int],
    stages: list[int],
    window_us: int,
    exposures: list[ExposurePlan],
) -> Iterator[Interaction]:
    """Yield the interactions of an attempt; exposure 0 are the events of its stage."""
    yield Interaction(one.stage, 0, sum(stages[i] == one.stage for i in one.events), None)
    waited = [
        i
        for i in one.events
        if i + 1 < len(times) and stages[i + 1] <= one.stage and times[i + 1] - one.opened_at <= window_us
    ]
    for exposure in exposures:
        exposed = [i for i in one.events if is_exposed(i, event_types, stages, one.stage, exposure)]
        waits = [(times[i + 1] - times[i]) / SECOND_US for i in exposed if i in waited and exposure.has_waits]
        count = len(exposed)
        if exposure.return_stage and exposure.return_stage < one.stage:
            count = sum(_is_return(i, stages, one.stage, exposure.return_stage) for i in one.events)
        if count:
            yield Interaction(one.stage, exposure.exposure_ix, count, max(waits, default=None))


def _before(i: int, stages: list[int]) -> int:
    """Return the stage of the visit in progress before event `i`, 0 for none."""
    return next((each for each in reversed(stages[:i]) if each), 0)


def _is_return(i: int, stages: list[int], stage: int, to_stage: int) -> bool:
    """Does event `i` go directly from the stage to the earlier one, unclassified events aside."""
    return stages[i] == to_stage and _before(i, stages) == stage
