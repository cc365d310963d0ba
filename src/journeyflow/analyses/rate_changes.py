"""Changes of rates: between two months, split into mix and steps; before and after dated actions."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cache
from itertools import groupby, pairwise
from math import erfc, sqrt
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple
from zlib import crc32

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from journeyflow.models.model import arrow_schema, python_model
from journeyflow.statistics.proportions import CRITICAL, Floats, Ints, discovery_rates
from journeyflow.utils.formatting import count, label, percent

if TYPE_CHECKING:
    from collections.abc import Iterable

    from journeyflow.engines import Engine


Bools = npt.NDArray[np.bool_]

DRAWS = 200
_TAILS = (0.025, 0.975)
_CELLS = """
    select cells.funnel_index, cells.dimension, cells.period, cells.age_us, cells.span_us, cells.slice,
        cells.depth, cells.unit_count, funnels.funnel, funnels.step_count
    from analyses.month_cells as cells
    inner join config.funnels on funnels.funnel_index = cells.funnel_index
    order by cells.funnel_index, cells.dimension, cells.period, cells.age_us, cells.span_us, cells.slice, cells.depth
"""
_TYPES = {
    "funnel_index": pa.int32(), "period": pa.string(), "dimension": pa.string(), "slice": pa.string(),
    "step_index": pa.int32(), "old_period": pa.string(), "age_us": pa.int64(),
    "old_count": pa.int64(), "new_count": pa.int64(), "pending_count": pa.int64(),
    "old_rate": pa.float64(), "new_rate": pa.float64(), "old_factor": pa.float64(), "new_factor": pa.float64(),
    "effect": pa.float64(), "effect_low": pa.float64(), "effect_high": pa.float64(), "share_of_change": pa.float64(),
    "q_value": pa.float64(), "is_small": pa.bool_(),
}  # fmt: skip


def symmetric_effects(old: Floats, new: Floats) -> Floats:
    """Return what each factor adds to the change of the product of all; the effects sum to the change.

    The effect of a factor is the mean, over all orders in which the factors can change from old to new, of what its
    own change adds (the Shapley value, and what Das Gupta's formulas give for any number of factors). For a product
    that is an integral of a polynomial, which Gauss's quadrature gives exactly without listing the orders.

    Parameters
    ----------
    old, new : array of float64, shape (..., factors)

    Returns
    -------
    array of float64, shape (..., factors)

    References
    ----------
    Das Gupta (1993), "Standardization and decomposition of rates", Census P23-186; Owen (1972), "Multilinear extensions
    of games".

    Examples
    --------
    >>> symmetric_effects(np.array([2.0, 3.0]), np.array([4.0, 5.0])).tolist()
    [8.0, 6.0]
    """
    count = old.shape[-1]
    places, weights = _quadrature((count + 1) // 2)
    ones = np.ones_like(old[..., :1])
    others = np.zeros_like(old)
    for place, weight in zip((places + 1) / 2, weights / 2, strict=True):
        mixed = (1 - place) * old + place * new
        before = np.cumprod(np.concatenate((ones, mixed[..., :-1]), axis=-1), axis=-1)
        after = np.cumprod(np.concatenate((ones, mixed[..., :0:-1]), axis=-1), axis=-1)[..., ::-1]
        others += weight * before * after
    return (new - old) * others


@cache
def _quadrature(count: int) -> tuple[Floats, Floats]:
    return np.polynomial.legendre.leggauss(count)


def slice_effects(old: Ints, new: Ints) -> Floats:
    """Return the effects of mix and of each step on the rate of reaching the last one, by slice.

    Parameters
    ----------
    old, new : array of int64, shape (..., slices, steps)
        Units of each slice by the last step that they reached.

    Returns
    -------
    array of float64, shape (..., slices, steps)
        First the effect of the slice's share, then of its rate at each later step. The effect of a share is counted
        from the mean overall rate: a growing slice adds where it converts better than the funnel (Kitagawa). The sum
        over all is the change of the rate.
    """
    (old_factors, old_rate), (new_factors, new_rate) = (_factors(side) for side in (old, new))
    # A rate that nobody could show in one month did not change; one that nobody could show at all is of no effect.
    old_known, new_known = (
        np.where(np.isnan(mine), np.nan_to_num(other), mine)
        for mine, other in ((old_factors, new_factors), (new_factors, old_factors))
    )
    effects = symmetric_effects(old_known, new_known)
    usual = (old_rate + new_rate)[..., None] / 2
    effects[..., 0] -= (new_known[..., 0] - old_known[..., 0]) * usual
    return effects


def _factors(counts: Ints) -> tuple[Floats, Floats]:
    """Return the share of each slice and its rate at each later step, and the rate of all."""
    reached = np.cumsum(counts[..., ::-1], axis=-1)[..., ::-1]
    total = reached[..., 0].sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = reached[..., 0] / total[..., None]
        rates = np.where(reached[..., :-1] > 0, reached[..., 1:] / reached[..., :-1], np.nan)
    return np.concatenate((shares[..., None], rates), axis=-1), reached[..., -1].sum(axis=-1) / total


@python_model("analyses.rate_changes")
def rate_changes(engine: Engine) -> pa.Table:
    """Return the effects of mix and steps on every change of a rate, by slice and in total, with intervals.

    References
    ----------
    `docs/adr/0037-changes-of-rates.md`.
    """
    least = engine.rows("select min_count from config.settings").to_pylist()[0]["min_count"]
    rows: list[dict[str, Any]] = []
    for _, cells in groupby(engine.rows(_CELLS).to_pylist(), key=itemgetter("funnel_index", "dimension")):
        # Two months have one reading in common; the others are for their other neighbours.
        months = [
            {read: _month(list(some)) for read, some in groupby(month, key=itemgetter("age_us", "span_us"))}
            for _, month in groupby(cells, key=itemgetter("period"))
        ]
        for old, new in pairwise(months):
            reading = max(old.keys() & new.keys())
            rows.extend(_pair_rows(old[reading], new[reading], least))
    return pa.Table.from_pylist(rows, schema=pa.schema(list(_TYPES.items())))


@dataclass(frozen=True)
class _Month:
    """The units of a month in one dimension by slice and depth, pending ones at depth 0; `drawn` are its resamples."""

    first: dict[str, Any]
    slices: list[str]
    counts: Ints
    drawn: Ints

    def by_slice(self, slices: list[str], values: Ints) -> Ints:
        """Return values by slice and depth with these slices."""
        placed = np.zeros((*values.shape[:-2], len(slices), values.shape[-1]), np.int64)
        placed[..., [slices.index(name) for name in self.slices], :] = values
        return placed


def _month(cells: list[dict[str, Any]]) -> _Month:
    """Return a month with draws of its matured units with replacement: the multinomial bootstrap of its counts.

    Half a unit is added to each depth of a slice (Jeffreys), or a rate of 0 or 1 would be drawn without any error. The
    seed is of the month, so that its draws are the same in every run.
    """
    first = cells[0]
    slices = sorted({cell["slice"] for cell in cells})
    counts = np.zeros((len(slices), first["step_count"] + 1), np.int64)
    for cell in cells:
        counts[slices.index(cell["slice"]), cell["depth"]] = cell["unit_count"]
    matured = counts[:, 1:]
    random = np.random.default_rng(crc32("/".join((first["funnel"], first["dimension"], first["period"])).encode()))
    weights = np.where(matured.sum(axis=1, keepdims=True) > 0, matured + 0.5, 0.0).ravel()
    draws = DRAWS if matured.any() else 0
    drawn = random.multinomial(matured.sum(), weights / max(weights.sum(), 1), size=draws)
    by_depth = np.zeros((draws, *counts.shape), np.int64)
    by_depth[..., 1:] = drawn.reshape(draws, *matured.shape)
    return _Month(first, slices, counts, by_depth)


def _pair_rows(before: _Month, after: _Month, least: int) -> list[dict[str, Any]]:
    """Return the rows of two months in one dimension: of all units first, then of each slice."""
    if not (len(before.drawn) and len(after.drawn)):
        return []
    first = after.first
    slices = sorted({*before.slices, *after.slices})
    counts = [month.by_slice(slices, month.counts) for month in (before, after)]
    pending, (old, new) = counts[1][:, 0], (each[:, 1:] for each in counts)
    effects = slice_effects(old, new)
    drawn = slice_effects(*(month.by_slice(slices, month.drawn)[..., 1:] for month in (before, after)))
    effects, drawn, old, new, pending = (_with_total(each, axis) for each, axis in (
        (effects, 0), (drawn, 1), (old, 0), (new, 0), (pending, 0)
    ))  # fmt: skip
    low, high = np.quantile(drawn, _TAILS, axis=0)
    entered = np.stack((old.sum(axis=-1), new.sum(axis=-1)))
    is_small: Bools = np.min(entered, axis=0) < least
    q_values = _q_values(effects, drawn, is_small)
    factors = [_factors(side[1:])[0] for side in (old, new)]
    totals = [_factors(side[:1])[0] for side in (old, new)]
    factors = [np.concatenate(pair) for pair in zip(totals, factors, strict=True)]
    change = float(effects[0].sum())
    return [
        {
            "funnel_index": first["funnel_index"], "period": first["period"], "dimension": first["dimension"],
            "slice": name, "step_index": at + 1, "old_period": before.first["period"], "age_us": first["age_us"],
            "old_count": int(entered[0, row]), "new_count": int(entered[1, row]), "pending_count": int(pending[row]),
            "old_rate": _ratio(old[row, -1], entered[0, row]), "new_rate": _ratio(new[row, -1], entered[1, row]),
            "old_factor": _known(factors[0][row, at]), "new_factor": _known(factors[1][row, at]),
            "effect": float(effects[row, at]),
            "effect_low": None if is_small[row] else min(float(low[row, at]), float(effects[row, at])),
            "effect_high": None if is_small[row] else max(float(high[row, at]), float(effects[row, at])),
            "share_of_change": float(effects[row, at]) / change if abs(change) > 1e-12 else None,
            "q_value": _known(q_values[row, at]), "is_small": bool(is_small[row]),
        }
        for row, name in enumerate(("all", *slices))
        for at in range(first["step_count"])
    ]  # fmt: skip


def _with_total(values: Any, axis: int) -> Any:  # noqa: ANN401 - arrays of counts or of effects alike
    return np.concatenate((values.sum(axis=axis, keepdims=True), values), axis=axis)


def _q_values(effects: Floats, drawn: Floats, is_small: Bools) -> Floats:
    """Return q-values by the normal distribution with the draws' spread: one family of totals and one of slices."""
    spread = drawn.std(axis=0, ddof=1)
    tested = (spread > 0) & ~is_small[:, None]
    q_values = np.full(effects.shape, np.nan)
    p_values = np.array([erfc(abs(ratio) / sqrt(2)) for ratio in effects[tested] / spread[tested]])
    family = (np.nonzero(tested)[0] > 0).astype(np.int64)
    q_values[tested] = discovery_rates(p_values, family)
    return q_values


def _ratio(count: int, total: int) -> float | None:
    return float(count / total) if total else None


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


_ACTIONS = """
    select actions.action, actions.action_index, actions.dimension, actions.slice, actions.first_day, steps.funnel,
        steps.step, settings.min_count
    from config.actions
    inner join config.funnel_steps as steps
        on steps.funnel_index = actions.funnel_index and steps.step_index = actions.step_index
    cross join config.settings
    order by actions.action_index
"""
_EFFECT_CELLS = """
    select action_index, slice, side, entered_count, reached_count, went_on_count from analyses.action_cells
    order by action_index, slice, side
"""
BEFORE = ("earlier", "later")


class Change(NamedTuple):
    """Units at the step before, and those that took the step, before and after."""

    before: int
    before_went_on: int
    after: int
    after_went_on: int

    @property
    def is_known(self) -> bool:
        """Whether there is somebody on both sides."""
        return self.before > 0 and self.after > 0

    @property
    def rate(self) -> float:
        """Change of the rate."""
        return self.after_went_on / self.after - self.before_went_on / self.before

    @property
    def variance(self) -> float:
        """Of the change; half a unit is added to both outcomes, or a rate of 0 or 1 would have no error (Jeffreys)."""
        rates = ((self.before_went_on, self.before), (self.after_went_on, self.after))
        return sum((hits + 0.5) * (size - hits + 0.5) / (size + 1) ** 2 / size for hits, size in rates)


class Effect(NamedTuple):
    """Change of a slice less that of the others, with its standard error."""

    effect: float
    error: float
    others_change: float | None

    @property
    def interval(self) -> tuple[float, float]:
        """Ends of the 95 % interval."""
        return self.effect - CRITICAL * self.error, self.effect + CRITICAL * self.error


def difference_in_differences(own: Change, others: Iterable[Change]) -> Effect | None:
    """Return the change of a slice less the mean change of the others; None where it is not known.

    The others do not move alike: the variance of their changes beyond chance is that of the slice's own as well, and
    widens the interval. Without others the effect is the change.

    References
    ----------
    DerSimonian and Laird (1986), "Meta-analysis in clinical trials", for the variance between slices.

    Examples
    --------
    >>> effect = difference_in_differences(Change(100, 50, 100, 70), [Change(400, 200, 400, 220)])
    >>> round(effect.effect, 3), [round(end, 3) for end in effect.interval]
    (0.15, [-0.0, 0.3])
    """
    if not own.is_known:
        return None
    known = [other for other in others if other.is_known]
    if not known:
        return Effect(own.rate, own.variance**0.5, None)
    changes, variances = (np.array([getattr(each, name) for each in known]) for name in ("rate", "variance"))
    between = _between(changes, variances)
    weights = 1 / (variances + between)
    mean = float(changes @ weights / weights.sum())
    return Effect(own.rate - mean, float(own.variance + between + 1 / weights.sum()) ** 0.5, mean)


def _between(changes: Floats, variances: Floats) -> float:
    """Return by how much changes vary beyond chance."""
    weights = 1 / variances
    beyond = float(weights @ (changes - changes @ weights / weights.sum()) ** 2) - (len(changes) - 1)
    scale = float(weights.sum() - (weights**2).sum() / weights.sum())
    return max(beyond / scale, 0.0) if scale > 0 else 0.0


@python_model("analyses.action_effects")
def action_effects(engine: Engine) -> pa.Table:
    """Return the effect of every action.

    References
    ----------
    `docs/adr/0039-effects-of-actions.md`.
    """
    actions = engine.rows(_ACTIONS).to_pylist()
    cells: dict[int, dict[str, Counter[tuple[str, str]]]] = defaultdict(lambda: defaultdict(Counter))
    for row in engine.rows(_EFFECT_CELLS).to_pylist() if actions else []:
        for name in ("entered", "reached", "went_on"):
            cells[row["action_index"]][row["slice"]][row["side"], name] += row[f"{name}_count"]
    rows = [_row(action, cells[action["action_index"]]) for action in actions]
    return pa.Table.from_pylist(rows, schema=arrow_schema("analyses.action_effects"))


def _row(action: dict[str, Any], slices: dict[str, Counter[tuple[str, str]]]) -> dict[str, Any]:
    treated = action["slice"] or "all"
    own = slices[treated]
    others = [cell for name, cell in slices.items() if name != treated]
    change = _change(own, BEFORE, ("after",))
    found = difference_in_differences(change, (_change(each, BEFORE, ("after",)) for each in others))
    halves = difference_in_differences(
        _change(own, BEFORE[:1], BEFORE[1:]), (_change(each, BEFORE[:1], BEFORE[1:]) for each in others)
    )
    is_small = min(change.before, change.after) < action["min_count"]
    row = {
        "action": action["action"],
        "before_count": change.before, "before_went_on_count": change.before_went_on,
        "after_count": change.after, "after_went_on_count": change.after_went_on,
        "pending_count": own["pending", "entered"], "ramp_count": own["ramp", "entered"],
        "others_count": sum(each[side, "reached"] for each in others for side in (*BEFORE, "after")),
        "others_change": found and found.others_change, "effect": found and found.effect,
        "placebo_effect": halves and halves.effect, "grade": _grade(found, halves), "is_small": is_small,
    }  # fmt: skip
    if found and not is_small:
        row |= dict(zip(("effect_low", "effect_high"), found.interval, strict=True))
    return row | {"headline": _headline(action, change, row)}


def _change(cell: Counter[tuple[str, str]], before: tuple[str, ...], after: tuple[str, ...]) -> Change:
    sums = [sum(cell[side, name] for side in sides) for sides in (before, after) for name in ("reached", "went_on")]
    return Change(*sums)


def _grade(found: Effect | None, halves: Effect | None) -> str:
    if found is None:
        return "too_early"
    if found.others_change is None:
        return "before_after"
    is_trending = halves is not None and not halves.interval[0] <= 0 <= halves.interval[1]
    return "trending" if is_trending else "compared"


def _headline(action: dict[str, Any], change: Change, row: dict[str, Any]) -> str:
    whose = f" for {action['dimension']}={action['slice']}" if action["slice"] else ""
    start = f"{action['action']} since {action['first_day']}, {label(action['step'])} of {action['funnel']}{whose}: "
    if row["effect"] is None:
        return f"{start}no units whose window is over before and after; {count(row['pending_count'])} pending."
    rates = [percent(change.before_went_on / change.before), percent(change.after_went_on / change.after)]
    text = f"{start}{rates[0]} of {count(change.before)} before, {rates[1]} of {count(change.after)} since"
    if row["others_change"] is not None:
        text += f"; others {_points(row['others_change'])}"
    ends = ""
    if "effect_low" in row:
        ends = f" ({_points(row['effect_low'])} to {_points(row['effect_high'])})"
    doubts = {
        "before_after": "; there are no others to compare with",
        "trending": "; they moved apart before it already",
    }
    text += f"; effect {_points(row['effect'])} points{ends}{doubts.get(row['grade'], '')}"
    return f"{text}; {count(row['pending_count'])} pending."


def _points(change: float) -> str:
    return f"{100 * change:+.1f}"
