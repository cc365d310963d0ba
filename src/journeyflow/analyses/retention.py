"""Rates of persons who come back, of customers who order again, and of those who bring others, with intervals."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pyarrow as pa

from journeyflow.models.model import python_model
from journeyflow.statistics.proportions import CRITICAL, Floats, Ints, wilson_interval
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


_NETWORK = """
    select
        referrals.person_key, referrals.bringer_key, persons.persona, referrals.wait_us, referrals.order_wait_us,
        persons.is_settled and referrals.wait_us <= config_referrals.within_us as is_in_time,
        persons.is_order_settled and referrals.order_wait_us <= config_referrals.within_us as is_after_order
    from analyses.referrals as referrals
    cross join config.referrals as config_referrals
    inner join analyses.referral_persons as persons on persons.person_key = referrals.bringer_key
    where referrals.outcome = 'brought'
    order by referrals.joined_at, referrals.person_key
"""
_BRINGERS = """
    select
        coalesce(persona, 'all') as persona,
        count(*) as persons,
        sum(case when brought_in_time_count > 0 then 1 else 0 end) as bringers,
        sum(brought_in_time_count) as brought,
        sum(brought_in_time_count * brought_in_time_count) as squares
    from analyses.referral_persons
    where is_settled
    group by grouping sets ((persona), ())
    order by persona
"""


@python_model("analyses.referral_rates")
def referral_rates(engine: Engine) -> pa.Table:
    """Return how many others a person brings, and how soon, of every persona that somebody was brought by or may be."""
    network = pl.DataFrame(engine.rows(_NETWORK))
    network = network.with_columns(pl.Series("generation", _generations(network), pl.Int32))
    network = pl.concat([network, network.with_columns(pl.lit("all").alias("persona"))])
    found = pl.DataFrame(engine.rows(_BRINGERS)).filter(pl.col("persons") > 0)
    persons, bringers, brought, squares = (found[name].to_numpy().astype(np.float64) for name in found.columns[1:])
    factor = mean_count_interval(brought, squares, persons)
    share = _figures(bringers, persons)
    rates = found.select(
        "persona",
        pl.Series("referral_factor", brought / persons, pl.Float64),
        *(
            pl.Series(f"referral_factor_{end}", each, pl.Float64)
            for end, each in zip(("low", "high"), factor, strict=True)
        ),
        pl.Series("bringer_rate", share["rate"], pl.Float64),
        *(pl.Series(f"bringer_rate_{end}", share[end], pl.Float64) for end in ("low", "high")),
    )
    waits = pl.DataFrame(
        [_waits(part) for part in network.partition_by("persona", maintain_order=True)],
        schema={"persona": pl.String, **dict.fromkeys(_WAITING, pl.Float64), "deepest_generation": pl.Int32},
    )
    return rates.join(waits, on="persona", how="full", coalesce=True).sort("persona").to_arrow()


_WAITING = tuple(f"p50_seconds_{since}{end}" for since in ("to_bring", "from_order") for end in ("", "_low", "_high"))


def _waits(network: pl.DataFrame) -> dict[str, object]:
    """Return the medians of one persona with their intervals, and the longest chain."""
    to_bring = network.filter("is_in_time")["wait_us"].to_numpy() / 1e6
    from_order = network.filter("is_after_order")["order_wait_us"].to_numpy() / 1e6
    medians = (*median_interval(to_bring), *median_interval(from_order))
    found = dict(zip(_WAITING, medians, strict=True))
    return {"persona": network["persona"][0], **found, "deepest_generation": network["generation"].max()}


def _generations(network: pl.DataFrame) -> list[int]:
    """Return of each person who was brought how many before them were; rows are in order of joining."""
    found: dict[int, int] = {}
    for person, bringer in network.select("person_key", "bringer_key").iter_rows():
        found[person] = found.get(bringer, 0) + 1
    return list(found.values())


def mean_count_interval(sums: Floats, squares: Floats, totals: Floats) -> tuple[Floats, Floats]:
    """Return the 95 % score interval of each mean count `sums / totals`; NaN where the total is 0.

    Counts of persons vary more than by chance: few bring many. The variance is the mean times the dispersion of the
    counts, which is taken for at least 1, that of Poisson's distribution.

    Parameters
    ----------
    sums, squares, totals : array of float64
        Sum of the counts, sum of their squares, number of counts.

    References
    ----------
    Rao (1948), score tests; McCullagh and Nelder (1989), "Generalized Linear Models", dispersion of counts.

    Examples
    --------
    >>> low, high = mean_count_interval(np.array([0.0]), np.array([0.0]), np.array([100.0]))
    >>> round(float(low[0]), 4), round(float(high[0]), 4)
    (0.0, 0.0384)
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        means = sums / totals
        variances = (squares - totals * means**2) / (totals - 1)
        dispersion = np.fmax(1.0, variances / means)
        half = CRITICAL**2 * dispersion / (2 * totals)
        distance = np.sqrt(half * (2 * means + half))
    return np.clip(means + half - distance, 0.0, means), np.fmax(means + half + distance, means)


def median_interval(values: Floats) -> tuple[float | None, float | None, float | None]:
    """Return the median and the ends of its 95 % interval by ranks, which assumes nothing about the distribution.

    The ends are None below six values, and everything is where there is none.

    References
    ----------
    Conover (1999), "Practical Nonparametric Statistics", interval of a quantile.

    Examples
    --------
    >>> median_interval(np.arange(1.0, 11.0))
    (5.5, 2.0, 9.0)
    """
    from scipy.special import bdtr

    count = len(values)
    if count == 0:
        return None, None, None
    ranked = np.sort(values)
    rank = int((bdtr(np.arange(count // 2), count, 0.5) <= 0.025).sum())
    ends = (float(ranked[rank - 1]), float(ranked[count - rank])) if rank else (None, None)
    return float(np.median(ranked)), *ends
