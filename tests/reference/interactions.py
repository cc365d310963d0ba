"""Interactions of the map's journeys, one journey, stage and exposure at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from journeyflow.kernel.plan import ExposurePlan, KernelPlan
from reference.stages import read_journey

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Interaction:
    """How often a journey met an exposure in a stage."""

    stage_index: int
    exposure_ix: int
    count: int


def interactions_of(
    times: list[int], event_types: list[int], stages: list[int], window_us: int, exposures: tuple[ExposurePlan, ...]
) -> Iterator[Interaction]:
    """Yield the interactions of one journey, given the times, event types and stages of its events."""
    inside = sum(at - times[0] <= window_us for at in times)
    for stage, reach in enumerate(read_journey(times, stages, window_us), 1):
        stop = inside if reach.next_at is None else reach.next_at
        for exposure in exposures:
            count = sum(_is_exposed(i, event_types, stages, stage, exposure) for i in range(stop))
            if count:
                yield Interaction(stage, exposure.exposure_ix, count)


def _is_exposed(i: int, event_types: list[int], stages: list[int], stage: int, exposure: ExposurePlan) -> bool:
    """Does event `i` count for the exposure in the stage."""
    if not exposure.when[event_types[i]]:
        return False
    if stages[i] or not exposure.is_unclassified_too:
        return stages[i] == stage
    latest = [each for each in stages[:i] if each]
    return bool(latest) and latest[-1] == stage


def month_of(at: int, plan: KernelPlan) -> str:
    """Return the month of the local day that holds `at`, as 2026-03."""
    days = [day for start, day in zip(plan.day_start_us, plan.day_date, strict=True) if start <= at]
    return (_EPOCH + timedelta(days=int(days[-1]))).strftime("%Y-%m")
