"""The passes of one journey through its stages and what they touched, each read by itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from journeyflow.kernel.plan import SECOND_US, Subject
from journeyflow.kernel.reference.touches import Touch, is_touched


@dataclass(frozen=True)
class Pass:
    """One stay at a stage: the number of its first event, and the events from there on until it is over."""

    stage: int
    number: int
    first: int
    stop: int
    is_went_on: bool


def passes_of(
    times: list[int], stages: list[int], sessions: list[int | None], stage_count: int, window_us: int
) -> Iterator[Pass]:
    """Yield the passes of one journey, given the times, stages and sessions of its events."""
    for stage in range(1, stage_count + 1):
        stop, number, went_on_in = 0, 0, None
        for first in [i for i, each in enumerate(stages) if each == stage]:
            if first < stop:
                continue
            before = [i for i in range(first) if stages[i] > stage]
            is_same = bool(before) and sessions[first] is not None and sessions[before[-1]] == sessions[first]
            if is_same and went_on_in == sessions[first]:
                continue
            inside = [i for i in range(first, len(times)) if times[i] - times[first] <= window_us]
            beyond = [first] if is_same else [i for i in inside if stages[i] > stage]
            number += 1
            stop = first + 1 if is_same else min(beyond, default=inside[-1] + 1)
            went_on_in = sessions[beyond[0]] if beyond else went_on_in
            yield Pass(stage, number, first, stop, bool(beyond))


def pass_touches(
    one: Pass, times: list[int], kinds: list[int], stages: list[int], stage_count: int, subjects: tuple[Subject, ...]
) -> Iterator[Touch]:
    """Yield what a pass touched; subject 0 are the events of its stage."""
    inside = range(one.first, one.stop)
    yield Touch(one.stage, 0, sum(stages[i] == one.stage for i in inside), None)
    is_last = one.stage == stage_count
    for subject in subjects:
        if not subject.is_of_passes or (is_last and not subject.is_loose):
            continue
        touched = [i for i in inside if is_touched(i, kinds, stages, one.stage, subject)]
        waits = [(times[i + 1] - times[i]) / SECOND_US for i in touched if i + 1 < one.stop and subject.has_waits]
        count = len(touched)
        if subject.return_stage and subject.return_stage < one.stage:
            count = sum(_is_return(i, stages, one.stage, subject.return_stage) for i in inside)
        if count:
            yield Touch(one.stage, subject.subject_ix, count, max(waits, default=None))


def _is_return(i: int, stages: list[int], stage: int, to_stage: int) -> bool:
    """Does event `i` go straight from the stage to the earlier one, unclassified events left aside."""
    before = [each for each in stages[:i] if each]
    return stages[i] == to_stage and bool(before) and before[-1] == stage
