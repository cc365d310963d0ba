"""Rates of persons who come back, and of customers who order again, with intervals."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pyarrow as pa

from journeyflow.models.model import python_model
from journeyflow.statistics.proportions import Floats, Ints, wilson_interval
from journeyflow.statistics.survival import product_limit

if TYPE_CHECKING:
    from journeyflow.engines import Engine

HORIZONS = (30, 60, 90, 180)
"""Days within which an order is repeated."""
HOURS, SLOTS = 168, 891
"""A wait is counted in hours for a week, then in days for two years; `analyses.repeat_waits` numbers these slots."""

_GROUP = ("start_index", "persona", "channel", "cohort")
_SPELLS = """
    select
        spells.start_index, spells.persona, spells.channel, spells.cohort, cohorts.age_count,
        spells.previous_age_index, spells.end_age_index, spells.is_return, spells.is_whole,
        spells.spell_count, spells.over_spell_count
    from analyses.cohort_spells as spells
    inner join config.cohorts on cohorts.start_index = spells.start_index
    order by spells.start_index, spells.persona, spells.channel, spells.cohort
"""
_RETENTION = {
    "start_index": pl.Int32,
    **dict.fromkeys(_GROUP[1:], pl.String),
    "age_index": pl.Int32,
    "rule": pl.String,
    "last_age_index": pl.Int32,
    **dict.fromkeys(("retention_rate", "retention_low", "retention_high"), pl.Float64),
}


@python_model("analyses.retention_rates")
def retention_rates(engine: Engine) -> pa.Table:
    """Return the rates of every start, persona, channel and cohort with a person, at every age, by both rules."""
    spells = pl.DataFrame(engine.rows(_SPELLS))
    parts = [_of_start(each) for each in spells.partition_by("start_index", maintain_order=True)]
    return pl.concat([pl.DataFrame(schema=_RETENTION), *parts]).to_arrow()


def _of_start(spells: pl.DataFrame) -> pl.DataFrame:
    ages = int(spells["age_count"][0])
    groups = spells.select(_GROUP).unique(maintain_order=True)
    spell_count, over = (spells[name].to_numpy().astype(np.float64) for name in ("spell_count", "over_spell_count"))
    is_return, is_whole = spells["is_return"].to_numpy(), spells["is_whole"].to_numpy()
    shape = (groups.height, ages + 1, ages + 1)
    place = (
        _numbers(spells, _GROUP),
        spells["previous_age_index"].to_numpy().astype(np.int64) + 1,
        spells["end_age_index"].to_numpy().astype(np.int64),
    )

    def cells(weights: Floats) -> Floats:
        """Add up the spells of each group by the age before them, from -1, and the age at their end."""
        return _sums(np.ravel_multi_index(place, shape), weights, shape)

    # Of all cohorts together only those who have completed every age: at each age the same persons.
    is_counted = is_whole | (spells["cohort"] != "all").to_numpy()
    settled = _from_each(cells(spell_count * (is_counted & ~is_return)).sum(axis=1))[:, 1:]
    on = _figures(cells(over * is_counted).sum(axis=1)[:, :ages], settled)
    # Who is back at an age that is not over has waited to the last one that is.
    ended, unfinished = cells(over), cells(spell_count - over)
    later = [_on_or_after(ended, unfinished, age) for age in range(ages)]
    after = {name: _not_rising(np.stack([figures[name] for _, figures in later], axis=1)) for name in on}
    rules = [
        groups.join(pl.DataFrame({"age_index": range(ages)}, schema={"age_index": pl.Int32}), how="cross").with_columns(
            pl.lit(rule).alias("rule"),
            pl.Series("last_age_index", last.ravel(), pl.Int32),
            *(pl.Series(f"retention_{name}", figure.ravel()).fill_nan(None) for name, figure in figures.items()),
        )
        for rule, last, figures in (
            ("on", np.tile(np.arange(ages), (groups.height, 1)), on),
            ("on_or_after", np.stack([last for last, _ in later], axis=1), after),
        )
    ]
    return pl.concat(rules).select(_RETENTION.keys())


def _on_or_after(ended: Floats, unfinished: Floats, age: int) -> tuple[Ints, dict[str, Floats]]:
    """Return, of each group, the last age that was seen, and the rate of a return from `age` to it.

    The last return comes at an age or later exactly when a first one from that age on comes. The wait for that one is
    censored at the high-water mark, as the last return cannot be: of nobody is it known to be the last.
    """
    events = ended[:, : age + 1, age:-1].sum(axis=1)
    at_risk = _from_each(ended[:, : age + 1].sum(axis=1))[:, age:-1]
    at_risk += _from_each(unfinished[:, : age + 1].sum(axis=1))[:, age + 1 :]
    estimates = product_limit(events, at_risk)
    size = np.where(at_risk[:, 0] > 0, estimates.size[:, -1], 0.0)
    seen = np.maximum(1, (_from_each((ended + unfinished).sum(axis=1))[:, age + 1 :] > 0).sum(axis=1))
    return age + seen - 1, _figures((1.0 - estimates.survival[:, -1]) * size, size)


def _sums(place: Ints, weights: Floats, shape: tuple[int, ...]) -> Floats:
    """Return an array of the shape with the sum of the weights at each place, which is a flat index."""
    return np.bincount(place, weights, math.prod(shape)).astype(np.float64).reshape(shape)


def _not_rising(figures: Floats) -> Floats:
    """Return figures of which none is below a later one: back at an age or later is back at the one before or later.

    The estimates of neighbouring ages have different persons at risk, and may cross by chance where these are few.
    """
    return np.flip(np.fmax.accumulate(np.flip(figures, -1), axis=-1), -1)


def _from_each(values: Floats) -> Floats:
    """Return at each place of the last axis the sum from there to the end."""
    summed: Floats = np.flip(np.cumsum(np.flip(values, -1), axis=-1), -1)
    return summed


def _figures(hits: Floats, totals: Floats) -> dict[str, Floats]:
    """Return the rate and its interval; NaN where the total is 0."""
    rate = np.full(totals.shape, np.nan)
    np.divide(hits, totals, out=rate, where=totals > 0)
    low, high = wilson_interval(hits.ravel(), totals.ravel())
    return {"rate": rate, "low": low.reshape(rate.shape), "high": high.reshape(rate.shape)}


_SERIES = ("persona", "order_number", "period")
_WAITS = """
    select persona, order_number, period, last_slot, ended_count, unfinished_count
    from analyses.repeat_waits
    order by persona, order_number, period
"""


@python_model("analyses.repeat_rates")
def repeat_rates(engine: Engine) -> pa.Table:
    """Return the Kaplan-Meier estimates of ordering again, of every persona, order number and month with an order."""
    waits = pl.DataFrame(engine.rows(_WAITS))
    series = waits.select(_SERIES).unique(maintain_order=True)
    shape = (series.height, SLOTS + 1)
    place = np.ravel_multi_index((_numbers(waits, _SERIES), waits["last_slot"].to_numpy().astype(np.int64)), shape)

    def slots(name: str) -> Floats:
        weights = waits[name].to_numpy().astype(np.float64)
        return _sums(place, weights, shape)

    events, unfinished = slots("ended_count"), slots("unfinished_count")
    # Who is censored was observed to the end of the last slot.
    at_risk = _from_each(events + unfinished)[:, 1:]
    events = events[:, 1:]
    estimates = product_limit(events, at_risk)
    found: dict[str, Floats] = {}
    for days in HORIZONS:
        slot = _slot_of(days)
        is_known = (at_risk[:, slot] > 0) | (estimates.survival[:, slot] == 0.0)
        size = np.where(is_known & (at_risk[:, 0] > 0), estimates.size[:, slot], 0.0)
        figures = _figures((1.0 - estimates.survival[:, slot]) * size, size)
        found |= {f"within_{days}d_{name}": figure for name, figure in figures.items()}
    is_half = estimates.survival <= 0.5 + 1e-12
    ends = 3600.0 * np.concatenate((np.arange(1, HOURS + 1), 24 * np.arange(8, SLOTS - HOURS + 8)))
    found["p50_seconds"] = np.where(is_half.any(axis=1), ends[is_half.argmax(axis=1)], np.nan)
    return series.with_columns(pl.Series(name, each).fill_nan(None) for name, each in found.items()).to_arrow()


def _slot_of(days: int) -> int:
    """Return the place of the slot that ends so many days, more than a week, after the order."""
    return HOURS + days - 7 - 1


def _numbers(rows: pl.DataFrame, keys: tuple[str, ...]) -> Ints:
    """Return the number, from 0, of each row's run of equal keys; rows are sorted by them."""
    numbers: Ints = rows.select(pl.struct(keys).rle_id()).to_series().to_numpy().astype(np.int64)
    return numbers
