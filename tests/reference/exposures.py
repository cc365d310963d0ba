"""Exposures: what was met against what could have been, one moment at a time, as decision 30 says it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

MANDATORY = 0.95
BINS = 6


@dataclass(frozen=True)
class Moment:
    """A stay's event at a stage, and what came next: at once another event in it, one beyond, or nothing (`gap` inf).

    `chance` is the prognosis at the moment, `is_met` says that the next event is the exposure, `is_candidate` that it
    had not been met before in the stay and that the order of the events is known.
    """

    person: int
    at: int
    anchor: str
    gap: float
    chance: float
    went_on: bool
    is_met: bool
    is_candidate: bool


@dataclass(frozen=True)
class Estimate:
    """What an exposure cost: persons, their mean chance without it, its standard error, those who went on."""

    persons: list[int]
    expected: list[float]
    went_on: list[bool]
    standard_error: float
    compared_count: int


def estimate(moments: list[Moment], quantiles: Callable[[list[float]], list[float]]) -> Estimate | None:
    """Compare each who met it with those at the same last event who had waited as long and did not meet it then.

    `quantiles` returns the inner edges of the cells of like chance.
    """
    met = [one for one in moments if one.is_candidate and one.is_met]
    could = [one for one in moments if one.is_candidate and not one.is_met]
    weights: dict[int, float] = {}
    for anchor in sorted({one.anchor for one in met}):
        weights |= _weights([one for one in met if one.anchor == anchor], could)
    could = [one for one in could if weights.get(id(one), 0) > 0]
    met = [one for one in met if any(other.anchor == one.anchor and other.gap > one.gap for other in could)]
    if not met:
        return None
    edges = quantiles([one.chance for one in met])
    cells = {id(one): (one.anchor, sum(one.chance >= edge for edge in edges)) for one in met + could}
    mean, variance = {}, {}
    for cell in set(cells.values()):
        others = [(weights[id(one)], one.went_on - one.chance) for one in could if cells[id(one)] == cell]
        total = sum(weight for weight, _ in others)
        alike = total**2 / sum(weight**2 for weight, _ in others) if others else 0.0
        if alike < 3 - 1e-9:
            continue
        mean[cell] = sum(weight * value for weight, value in others) / total
        spread = sum(weight * (value - mean[cell]) ** 2 for weight, value in others) / total
        variance[cell] = (spread + 0.25 / alike) / alike
    kept = [one for one in met if cells[id(one)] in mean]
    if not kept:
        return None
    share = {cell: sum(cells[id(one)] == cell for one in kept) / len(kept) for cell in mean}
    first: dict[int, Moment] = {}
    for one in kept:
        first.setdefault(one.person, one)
    return Estimate(
        persons=sorted(first),
        expected=[min(max(one.chance + mean[cells[id(one)]], 0.001), 0.999) for _, one in sorted(first.items())],
        went_on=[one.went_on for _, one in sorted(first.items())],
        standard_error=math.sqrt(sum(share[cell] ** 2 * variance[cell] for cell in mean)),
        compared_count=len({one.person for one in could}),
    )


def _weights(met: list[Moment], could: list[Moment]) -> dict[int, float]:
    """Return the weight of each who could have met it: its share of the comparison of each who did."""
    others = [one for one in could if one.anchor == met[0].anchor]
    inverse = {}
    for other in others:
        chance_unmet = _chance_unmet(met, others, other.gap)
        if _chance_unmet(met, others, math.inf) <= 1 - MANDATORY:
            return {}
        inverse[id(other)] = 1 / chance_unmet
    weights = dict.fromkeys(inverse, 0.0)
    for one in met:
        longer = [id(other) for other in others if other.gap > one.gap]
        total = sum(inverse[other] for other in longer)
        for other in longer:
            weights[other] += inverse[other] / total
    return weights


def _chance_unmet(met: list[Moment], others: list[Moment], until: float) -> float:
    """Return the chance not to have met it before `until` for who stays (Kaplan and Meier)."""
    chance = 1.0
    for time in sorted({one.gap for one in met if one.gap < until}):
        waiting = sum(one.gap >= time for one in met + others)
        chance *= 1 - sum(one.gap == time for one in met) / waiting
    return chance
