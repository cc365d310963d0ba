"""Stages of events with history, stage visits, and the stage funnel."""

from __future__ import annotations

from dataclasses import dataclass

from journeyflow.kernel.plan import ModelPlan, RulePlan
from reference.log import Event


def classify_events(events: list[Event], model: ModelPlan) -> list[tuple[int, int]]:
    """Return (stage_index, rule_index) of each event of one person; (0, 0) is unclassified."""
    classifications = []
    for i in range(len(events)):
        matching = (rule for rule in model.rules if _matches(events, i, rule))
        rule = next(matching, None)
        classifications.append((rule.stage_index, rule.rule_index) if rule else (0, 0))
    return classifications


def _matches(events: list[Event], i: int, rule: RulePlan) -> bool:
    event = events[i]
    if not rule.when[event.event_type]:
        return False
    ordinal = sum(bool(rule.when[e.event_type]) for e in events[: i + 1])
    if rule.nth_at_least is not None and ordinal < rule.nth_at_least:
        return False
    if rule.nth_is is not None and ordinal != rule.nth_is:
        return False
    if rule.after is None:
        return True
    within = rule.after_within_us
    earlier = [e for e in events[:i] if rule.after[e.event_type]]
    return any(within is None or event.at - e.at <= within for e in earlier)


def in_model_order(ranks: list[int], stages: list[int]) -> list[int]:
    """Return the positions of one journey's events with tied ones in the model's order."""
    order: list[int] = []
    for rank in sorted(set(ranks)):
        tied = [i for i in range(len(ranks)) if ranks[i] == rank]
        staged = sorted((i for i in tied if stages[i]), key=lambda i: stages[i])
        others = [i for i in tied if not stages[i]]
        earliest = [i for i in staged if stages[i] == stages[staged[0]]]
        has_visit = any(stages[i] for i in order)
        order += [*others, *staged] if has_visit else [*earliest, *others, *staged[len(earliest) :]]
    return order


@dataclass(frozen=True)
class Visit:
    """A stay in a stage: positions of its first and last staged event."""

    stage: int
    first: int
    last: int


def visits_of(stages: list[int]) -> list[Visit]:
    """Return the stage visits of one journey, given the stages of its events."""
    visits: list[Visit] = []
    for i, stage in enumerate(stages):
        if stage == 0:
            continue
        if visits and visits[-1].stage == stage:
            visits[-1] = Visit(stage, visits[-1].first, i)
        else:
            visits.append(Visit(stage, i, i))
    return visits


@dataclass(frozen=True)
class StageReach:
    """Where a stage (or one beyond) was first reached; positions in the journey."""

    at: int
    visited_at: int | None
    next_at: int | None


def read_journey(times: list[int], stages: list[int], window_us: int) -> list[StageReach]:
    """Return the reaches of stages 1, 2, … up to the furthest within the window of the journey's first event."""
    inside = [i for i, at in enumerate(times) if at - times[0] <= window_us]
    furthest = max((stages[i] for i in inside), default=0)
    reaches = []
    for k in range(1, furthest + 1):
        first_visit = next((i for i in inside if stages[i] == k), None)
        beyond = [i for i in inside if first_visit is not None and i > first_visit and stages[i] > k]
        first_reach = next(i for i in inside if stages[i] >= k)
        reaches.append(StageReach(first_reach, first_visit, beyond[0] if beyond else None))
    return reaches


def first_visit_ranks(reaches: list[StageReach], ranks: list[int]) -> list[int]:
    """Return the ranks of the first visits of the visited stages, in the model's order of the stages."""
    return [ranks[reach.visited_at] for reach in reaches if reach.visited_at is not None]
