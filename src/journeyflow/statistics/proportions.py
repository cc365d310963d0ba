"""Intervals and exact tests of proportions; tests of lift with controlled false discovery rate."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from journeyflow.models.model import python_model

if TYPE_CHECKING:
    from journeyflow.engines import Engine


Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

EXACT_VARIANCE = 400.0
"""Up to a standard deviation of 20 persons a count is followed exactly; above it the normal curve is as good."""

_REACH = 9.0
_MARGIN = 20
_CELLS = 1 << 21
_LEAST = 1e-16
_LEAST_WIDTH = 8
_TIE = 1.0 + 1e-7
"""Outcomes whose chances differ by less are equally probable."""
_NOISE = 5e-16
"""A Fourier transform knows a chance to about 1e-16 of 1, however small it is: ties of rare outcomes differ by more
than `_TIE`."""


class Strata(NamedTuple):
    """Two-by-two tables, one per stratum: `hits` of `exposed` and `base_hits` of `base` others had the outcome.

    The strata of a test are neighbours; tests are numbered from 0 without gaps.
    """

    test: Ints
    exposed: Ints
    hits: Ints
    base: Ints
    base_hits: Ints


class Tails(NamedTuple):
    """The p-values of each test: one-sided (as many hits or more) and two-sided (a count as improbable or more so)."""

    excess: Floats
    two_sided: Floats


def conditional_tails(strata: Strata) -> Tails:
    """Return the exact conditional p-values in (0, 1] of each test, in the order of the tests.

    The hits of a stratum are hypergeometric given its margins when exposure and outcome are unrelated; those of a test
    are their sum. One stratum gives Fisher's exact test. Above `EXACT_VARIANCE` the sum is taken as normal with a
    continuity correction: the Cochran-Mantel-Haenszel test. Strata without exposed or without others carry no
    information, and may be present.

    References
    ----------
    Fisher (1935), "The logic of inductive inference"; Mantel and Haenszel (1959), "Statistical aspects of the analysis
    of data from retrospective studies of disease"; for the exact distribution over strata Mehta, Patel and Gray (1985),
    "Computing an exact confidence interval for the common odds ratio in several 2 x 2 contingency tables".

    Examples
    --------
    All three exposed left, none of three others did: one of the 20 ways to choose three of six.

    >>> one = Strata(*(np.array([value]) for value in (0, 3, 3, 3, 0)))
    >>> round(float(conditional_tails(one).excess[0]), 4), round(float(conditional_tails(one).two_sided[0]), 4)
    (0.05, 0.1)
    """
    from scipy.special import ndtr

    count = int(strata.test[-1]) + 1 if len(strata.test) else 0
    total, marked = strata.exposed + strata.base, strata.hits + strata.base_hits
    mean = strata.exposed * (marked / np.maximum(total, 1))
    variance = mean * (strata.base / np.maximum(total, 1)) * ((total - marked) / np.maximum(total - 1, 1))
    seen = np.bincount(strata.test, strata.hits, count)
    above = seen - np.bincount(strata.test, mean, count)
    spread = np.bincount(strata.test, variance, count)
    deviation = np.sqrt(np.where(spread > 0, spread, 1.0))
    excess = ndtr(-(above - 0.5) / deviation)
    two_sided = np.minimum(1.0, 2.0 * ndtr(-(np.abs(above) - 0.5) / deviation))
    for tests, tails in _exact(strata, mean, variance, seen.astype(np.int64), spread <= EXACT_VARIANCE):
        excess[tests], two_sided[tests] = tails
    return Tails(np.clip(excess, _LEAST, 1.0), np.clip(two_sided, _LEAST, 1.0))


def _exact(
    strata: Strata, mean: Floats, variance: Floats, seen: Ints, wanted: npt.NDArray[np.bool_]
) -> list[tuple[Ints, Tails]]:
    """Return the exact p-values of the wanted tests, in batches of tests whose distributions have one width.

    The width depends on the test alone: were it the batch's, the last digit of a p-value would depend on the other
    tests and on their order.
    """
    reach = _REACH * np.sqrt(variance) + _MARGIN
    low = np.maximum(
        np.maximum(0, strata.hits + strata.base_hits - strata.base), np.floor(mean - reach).astype(np.int64)
    )
    high = np.minimum(
        np.minimum(strata.exposed, strata.hits + strata.base_hits), np.ceil(mean + reach).astype(np.int64)
    )
    first = np.flatnonzero(np.diff(strata.test, prepend=-1))
    length = np.diff(first, append=len(strata.test))
    width = np.maximum.reduceat(high - low + 1, first) if len(first) else first
    # The next power of two.
    width = np.maximum(_LEAST_WIDTH, np.int64(1) << np.frexp(width - 1)[1].astype(np.int64))
    cells = width * length * length
    tests = np.flatnonzero(wanted)
    tests = tests[np.lexsort((width[tests], length[tests]))]
    found = []
    while len(tests):
        alike = (length[tests] == length[tests[0]]) & (width[tests] == width[tests[0]])
        size = max(
            1, min(int(np.argmin(alike)) if not alike.all() else len(tests), _CELLS // int(4 * cells[tests[0]] + 8))
        )
        batch, tests = tests[:size], tests[size:]
        rows = (first[batch][:, None] + np.arange(length[batch[0]])).ravel()
        chances = _hypergeometric(strata, rows, low[rows], high[rows], int(width[batch[0]]))
        chances = _sums(chances, int(length[batch[0]]))
        offset = np.add.reduceat(low, first)[batch]
        noise = _NOISE if length[batch[0]] > 1 else 0.0
        found.append((batch, _tails(chances, seen[batch] - offset, noise)))
    return found


def _hypergeometric(strata: Strata, rows: Ints, low: Ints, high: Ints, width: int) -> Floats:
    """Return the chances of `low`, `low + 1`, … hits in each of the rows, `width` of them, 0 past `high`."""
    exposed, base = strata.exposed[rows][:, None], strata.base[rows][:, None]
    marked = (strata.hits + strata.base_hits)[rows][:, None]
    steps = np.arange(width)
    hits = low[:, None] + steps
    held = hits < high[:, None]
    # Each chance from the one before it, which needs no factorials.
    rising = np.where(held, (marked - hits) * (exposed - hits), 1).astype(np.float64)
    falling = np.where(held, (hits + 1) * (base - marked + hits + 1), 1).astype(np.float64)
    logs = np.zeros(hits.shape)
    np.cumsum(np.log(rising[:, :-1]) - np.log(falling[:, :-1]), axis=1, out=logs[:, 1:])
    logs[hits > high[:, None]] = -np.inf
    chances = np.exp(logs - logs.max(axis=1, keepdims=True))
    scaled: Floats = chances / chances.sum(axis=1, keepdims=True)
    return scaled


def _sums(chances: Floats, strata_count: int) -> Floats:
    """Return the distribution of the sum over each test's strata, which are neighbouring rows."""
    if strata_count == 1:
        return chances
    from scipy.fft import irfft, next_fast_len, rfft

    size = next_fast_len((chances.shape[1] - 1) * strata_count + 1, real=True)
    waves = rfft(chances, size, axis=1).reshape(-1, strata_count, size // 2 + 1)
    summed: Floats = np.maximum(irfft(waves.prod(axis=1), size, axis=1), 0.0)
    return summed


def _tails(chances: Floats, seen: Ints, noise: float) -> Tails:
    """Return the p-values of the column `seen`; a count beyond the columns has next to no chance.

    Chances are known to `noise`: whatever is as improbable as what was seen within it counts, as of a tie both do.
    """
    columns = np.arange(chances.shape[1])
    place = np.clip(seen, 0, chances.shape[1] - 1)
    own = np.where(place == seen, np.take_along_axis(chances, place[:, None], axis=1)[:, 0], 0.0)
    excess = np.where(columns >= seen[:, None], chances, 0.0).sum(axis=1)
    two_sided = np.where(chances <= own[:, None] * _TIE + noise, chances, 0.0).sum(axis=1)
    return Tails(excess, two_sided)


ALPHA = 0.05
"""Intervals hold 95 in 100 times."""
CRITICAL = 1.9599639845400545
"""Quantile of the standard normal distribution at 1 - ALPHA / 2."""

_STEPS = ("funnel_index", "persona", "period", "step_index")
_STAGES = ("model_index", "persona", "period", "stage_index")


def wilson_interval(counts: Ints | Floats, totals: Ints | Floats) -> tuple[Floats, Floats]:
    """Return the low and high ends of the 95 % Wilson score interval of each rate `counts / totals`.

    The ends are in [0, 1] with the rate between them, and NaN where the total is 0.

    References
    ----------
    Wilson (1927), "Probable inference, the law of succession, and statistical inference"; bit for bit
    ``statsmodels.stats.proportion.proportion_confint``.

    Examples
    --------
    >>> low, high = wilson_interval(np.array([5]), np.array([10]))
    >>> round(float(low[0]), 4), round(float(high[0]), 4)
    (0.2366, 0.7634)
    """
    low = np.full(len(totals), np.nan)
    high = np.full(len(totals), np.nan)
    known = totals > 0
    if known.any():
        # As ``proportion_confint`` of statsmodels computes it, whose import takes longer than a small selection.
        total = totals[known].astype(np.float64)
        rates = counts[known] / total
        divisor = 1 + CRITICAL**2 / total
        center = (rates + CRITICAL**2 / (2 * total)) / divisor
        distance = CRITICAL * np.sqrt(rates * (1.0 - rates) / total + CRITICAL**2 / (4.0 * total**2)) / divisor
        low[known], high[known] = center - distance, center + distance
        # Rounding may put an end past the rate by one part in 10^16.
        low[known] = np.clip(low[known], 0.0, rates)
        high[known] = np.clip(high[known], rates, 1.0)
    return low, high


@python_model("statistics.step_intervals")
def step_intervals(engine: Engine) -> pa.Table:
    """Return the interval of the drop-off rate of every funnel step."""
    return _drop_off_intervals(engine, "funnels.funnel_step_counts", _STEPS)


@python_model("statistics.stage_intervals")
def stage_intervals(engine: Engine) -> pa.Table:
    """Return the interval of the drop-off rate of every stage of the map."""
    return _drop_off_intervals(engine, "map.stage_bases", _STAGES)


def _drop_off_intervals(engine: Engine, source: str, keys: tuple[str, ...]) -> pa.Table:
    left = "matured_count - matured_next_count as left_count"
    counts = engine.rows(f"select {', '.join(keys)}, matured_count, {left} from {source}")
    low, high = wilson_interval(_column(counts, "left_count"), _column(counts, "matured_count"))
    table = {key: counts.column(key) for key in keys}
    table["drop_off_rate_low"] = nullable(low)
    table["drop_off_rate_high"] = nullable(high)
    return pa.table(table)


def _column(table: pa.Table, name: str) -> Ints:
    values: Ints = table.column(name).to_numpy().astype(np.int64, copy=False)
    return values


_COUNTS = """
    select
        counts.promise_index, counts.persona, counts.period, counts.matured_kept_count, counts.matured_count,
        coalesce(advances.kept_next_count, 0) as kept_next_count,
        coalesce(advances.kept_journey_count, 0) as kept_journey_count,
        coalesce(advances.broken_next_count, 0) as broken_next_count,
        coalesce(advances.broken_journey_count, 0) as broken_journey_count
    from map.promise_counts as counts
    left join map.promise_next_stage as advances
        on advances.promise_index = counts.promise_index and advances.persona = counts.persona
        and advances.period = counts.period
"""
_KEYS = ("promise_index", "persona", "period")


def newcombe_interval(
    counts: Ints | Floats, totals: Ints | Floats, others: Ints | Floats, other_totals: Ints | Floats
) -> tuple[Floats, Floats]:
    """Return the ends of the 95 % Newcombe interval of each difference `counts / totals - others / other_totals`.

    The ends are in [-1, 1] with the difference between them, and NaN where a total is 0.

    References
    ----------
    Newcombe (1998), "Interval estimation for the difference between independent proportions", method 10: the Wilson
    intervals of both rates put together.

    Examples
    --------
    The first example of that paper, 56 of 70 and 48 of 80:

    >>> of = lambda *values: np.array(values)
    >>> low, high = newcombe_interval(of(56), of(70), of(48), of(80))
    >>> round(float(low[0]), 4), round(float(high[0]), 4)
    (0.0524, 0.3339)
    """
    rate, other_rate = _rates(counts, totals), _rates(others, other_totals)
    low, high = wilson_interval(counts, totals)
    other_low, other_high = wilson_interval(others, other_totals)
    difference = rate - other_rate
    return (
        np.maximum(difference - np.hypot(rate - low, other_high - other_rate), -1.0),
        np.minimum(difference + np.hypot(high - rate, other_rate - other_low), 1.0),
    )


@python_model("statistics.promise_intervals")
def promise_intervals(engine: Engine) -> pa.Table:
    """Return the intervals of the kept rate and of the next-stage excess of every promise, persona and period."""
    rows = engine.rows(_COUNTS)
    # ``to_numpy`` would import pandas first.
    count = {name: np.array(rows[name].to_pylist(), np.int64) for name in rows.column_names if name not in _KEYS}
    kept_low, kept_high = wilson_interval(count["matured_kept_count"], count["matured_count"])
    kept = (count["kept_next_count"], count["kept_journey_count"])
    broken = (count["broken_next_count"], count["broken_journey_count"])
    low, high = newcombe_interval(*kept, *broken)
    figures = {
        "kept_low": kept_low,
        "kept_high": kept_high,
        "next_stage_excess": _rates(*kept) - _rates(*broken),
        "next_stage_excess_low": low,
        "next_stage_excess_high": high,
    }
    table = {key: rows.column(key) for key in _KEYS}
    table |= {name: nullable(values) for name, values in figures.items()}
    return pa.table(table)


def nullable(values: Floats) -> pa.Array:
    """Return `values` as an Arrow array in which NaN is null; ``pa.array`` would import pandas first."""
    known = np.packbits(~np.isnan(values), bitorder="little")
    return pa.Array.from_buffers(pa.float64(), len(values), [pa.py_buffer(known), pa.py_buffer(values)])


def _rates(counts: Ints | Floats, totals: Ints | Floats) -> Floats:
    rates: Floats = np.full(len(totals), np.nan)
    return np.divide(counts, totals, out=rates, where=totals > 0)


def ratio_interval(hits: Ints, totals: Ints, base_hits: Ints, base_totals: Ints) -> tuple[Floats, Floats]:
    """Return the ends of the 95 % interval of each ratio of rates, NaN where the lower rate is 0; no total may be 0.

    References
    ----------
    Walter (1975), "The distribution of Levin's measure of attributable risk": the log of the ratio, half a person
    added; as the method ``log-adjusted`` of ``statsmodels.stats.proportion.confint_proportions_2indep``, whose import
    takes longer than a small run.
    """
    low, high = np.full(len(hits), np.nan), np.full(len(hits), np.nan)
    known = base_hits > 0
    if known.any():
        of = (hits[known], totals[known], base_hits[known], base_totals[known])
        ratio = (of[0] / of[1]) / (of[2] / of[3])
        first, of_first, second, of_second = (counts + 0.5 for counts in of)
        middle = np.log((first / of_first) / (second / of_second))
        reach = CRITICAL * np.sqrt(1 / first - 1 / of_first + 1 / second - 1 / of_second)
        # The half person added may put an end past a ratio of small counts.
        low[known] = np.minimum(np.exp(middle - reach), ratio)
        high[known] = np.maximum(np.exp(middle + reach), ratio)
    return low, high


def discovery_rates(p_values: Floats, family: Ints) -> Floats:
    """Return the Benjamini-Hochberg q-value of each p-value among those with the same `family` number.

    References
    ----------
    Benjamini and Hochberg (1995), "Controlling the false discovery rate": the least rate at which the test is a
    discovery; as ``scipy.stats.false_discovery_control``, whose import takes longer than a small run.

    Examples
    --------
    >>> discovery_rates(np.array([0.01, 0.02, 0.5, 0.04]), np.array([1, 1, 1, 2])).tolist()
    [0.03, 0.03, 0.5, 0.04]
    """
    rates = np.empty(len(p_values))
    order = np.argsort(family, kind="stable")
    starts = np.flatnonzero(np.diff(family[order], prepend=np.nan))
    for members in np.split(order, starts[1:]) if len(order) else []:
        ranked = members[np.argsort(p_values[members])]
        adjusted = p_values[ranked] * (len(ranked) / np.arange(1, len(ranked) + 1))
        rates[ranked] = np.minimum(np.minimum.accumulate(adjusted[::-1])[::-1], 1.0)
    return rates


MAP = ("model_index", "persona", "period")
INTERACTION = (*MAP, "stage_index", "exposure_ix")

_LAST_STAGES = "select model_index, max(stage_index) as stage_index from config.stages group by model_index"
_TOUCHPOINTS = f"""
    select
        met.model_index, met.persona, met.period, met.stage_index, met.exposure_ix,
        met.matured_count as with_count, met.matured_advanced_count as with_next_count,
        stages.matured_visited_count - met.matured_count as without_count,
        stages.matured_advanced_count - met.matured_advanced_count as without_next_count
    from map.exposure_counts as met
    inner join map.exposures
        on exposures.exposure_ix = met.exposure_ix and exposures.exposure_kind = 'touchpoint'
    inner join map.stage_bases as stages
        on stages.model_index = met.model_index and stages.persona = met.persona
        and stages.period = met.period and stages.stage_index = met.stage_index
    inner join ({_LAST_STAGES}) as lasts
        on lasts.model_index = met.model_index and met.stage_index < lasts.stage_index
    cross join config.settings
    where met.matured_count >= settings.min_count
        and stages.matured_visited_count - met.matured_count >= settings.min_count
    order by met.model_index, met.persona, met.period, met.stage_index, met.exposure_ix
"""


@python_model("statistics.touchpoint_tests")
def touchpoint_tests(engine: Engine) -> pa.Table:
    """Return the lift of every touchpoint that enough visitors of a stage met and enough did not.

    References
    ----------
    `docs/adr/0017-pain-points.md`.
    """
    rows = engine.rows(_TOUCHPOINTS)
    met, met_next, rest, rest_next = (
        rows.column(f"{name}_count").to_numpy().astype(np.int64)
        for name in ("with", "with_next", "without", "without_next")
    )
    low, high = ratio_interval(met_next, met, rest_next, rest)
    p_values = conditional_tails(Strata(np.arange(len(met)), met, met_next, rest, rest_next)).two_sided
    families = (
        pl.DataFrame(rows.select(MAP)).select(pl.struct(MAP).rank("dense")).to_series().to_numpy().astype(np.int64)
    )
    table = {key: rows.column(key) for key in INTERACTION}
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(rest_next > 0, (met_next / met) / (rest_next / rest), np.nan)
    figures = {"lift": ratio, "lift_low": low, "lift_high": high, "p_value": p_values}
    figures["q_value"] = discovery_rates(p_values, families)
    table |= {name: pa.array(values, pa.float64(), from_pandas=True) for name, values in figures.items()}
    return pa.table(table)
