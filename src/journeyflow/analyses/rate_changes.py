"""The change of a funnel's rate between two months, split into who came and what they did at each step."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import groupby, pairwise
from math import erfc, sqrt
from operator import itemgetter
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from journeyflow.models.python_models import python_model
from journeyflow.statistics.proportions import Floats, Ints
from journeyflow.statistics.tests import discovery_rates

if TYPE_CHECKING:
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
