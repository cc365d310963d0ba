"""The passes of one journey through its stages and what they touched, each read by itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from journeyflow.kernel.plan import SECOND_US, ExposurePlan
from reference.touches import Interaction, is_exposed


@dataclass
class StageAttempt:
    """One stay at a stage: its opening, the events that are part of it, and the session in which it went on."""

    stage: int
    number: int
    opened_at: int
    is_advanced: bool = False
    went_on_in: int | None = None
    events: list[int] = field(default_factory=list)


def stage_attempts_of(
    times: list[int], stages: list[int], sessions: list[int | None], stage: int, window_us: int
) -> list[StageAttempt]:
    """Return the passes of one journey through a stage, given the times, stages and sessions of its events."""
    passes: list[StageAttempt] = []
    is_open = False
    beyond: int | None = None
    for i, session in enumerate(sessions):
        is_open = is_open and times[i] - passes[-1].opened_at <= window_us
        if stages[i] > stage:
            beyond = session
            if is_open:
                passes[-1].is_advanced, passes[-1].went_on_in, is_open = True, session, False
            continue
        if stages[i] != stage and _before(i, stages) != stage:
            continue
        gone = [each for each in passes if each.is_advanced]
        if is_open:
            passes[-1].events.append(i)
        elif session is not None and gone and gone[-1].went_on_in == session:
            gone[-1].events.append(i)
        elif stages[i] == stage:
            has_gone = session is not None and session == beyond
            passes.append(StageAttempt(stage, len(passes) + 1, times[i], has_gone, session if has_gone else None, [i]))
            is_open = not has_gone
    return passes


def attempt_interactions(
    one: StageAttempt,
    times: list[int],
    kinds: list[int],
    stages: list[int],
    window_us: int,
    subjects: list[ExposurePlan],
) -> Iterator[Interaction]:
    """Yield what a pass touched; subject 0 are the events of its stage."""
    yield Interaction(one.stage, 0, sum(stages[i] == one.stage for i in one.events), None)
    waited = [
        i
        for i in one.events
        if i + 1 < len(times) and stages[i + 1] <= one.stage and times[i + 1] - one.opened_at <= window_us
    ]
    for subject in subjects:
        affected = [i for i in one.events if is_exposed(i, kinds, stages, one.stage, subject)]
        waits = [(times[i + 1] - times[i]) / SECOND_US for i in affected if i in waited and subject.has_waits]
        count = len(affected)
        if subject.return_stage and subject.return_stage < one.stage:
            count = sum(_is_return(i, stages, one.stage, subject.return_stage) for i in one.events)
        if count:
            yield Interaction(one.stage, subject.exposure_ix, count, max(waits, default=None))


def _before(i: int, stages: list[int]) -> int:
    """Return the stage of the visit in progress before event `i`, 0 for none."""
    return next((each for each in reversed(stages[:i]) if each), 0)


def _is_return(i: int, stages: list[int], stage: int, to_stage: int) -> bool:
    """Does event `i` go straight from the stage to the earlier one, unclassified events left aside."""
    return stages[i] == to_stage and _before(i, stages) == stage
