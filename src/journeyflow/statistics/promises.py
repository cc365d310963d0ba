"""Intervals of promises: kept rate, and its association with advancing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from journeyflow.statistics.proportions import wilson_interval

if TYPE_CHECKING:
    from journeyflow.config import Config
    from journeyflow.engines import Engine


Counts = npt.NDArray[np.int64]
Rates = npt.NDArray[np.float64]

_COUNTS = """
    select
        counts.promise_index, counts.persona, counts.period, counts.matured_kept_count, counts.matured_count,
        coalesce(goings.kept_next_count, 0) as kept_next_count,
        coalesce(goings.kept_journey_count, 0) as kept_journey_count,
        coalesce(goings.broken_next_count, 0) as broken_next_count,
        coalesce(goings.broken_journey_count, 0) as broken_journey_count
    from journeys.promise_counts as counts
    left join journeys.promise_goings as goings
        on goings.promise_index = counts.promise_index and goings.persona = counts.persona
        and goings.period = counts.period
"""
_KEYS = ("promise_index", "persona", "period")


def newcombe_interval(counts: Counts, totals: Counts, others: Counts, other_totals: Counts) -> tuple[Rates, Rates]:
    """Return the 95 % Newcombe interval of each difference of two rates.

    Parameters
    ----------
    counts, totals : array of int64
        The first rate i is `counts[i] / totals[i]`.
    others, other_totals : array of int64
        The second rate, which is taken from the first.

    Returns
    -------
    low, high : arrays of float64
        In [-1, 1], with the difference between them; NaN where a total is 0.

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


def fill_promise_intervals(engine: Engine, config: Config) -> None:
    """Fill `statistics.promise_intervals`: of every promise, persona and period.

    Parameters
    ----------
    engine : Engine
        Holds `journeys.promise_counts` and `journeys.promise_goings`.
    config : Config
        Not read.
    """
    del config
    rows = engine.rows(_COUNTS)
    count = {name: rows.column(name).to_numpy().astype(np.int64) for name in rows.column_names if name not in _KEYS}
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
    table |= {name: pa.array(values, pa.float64(), from_pandas=True) for name, values in figures.items()}
    engine.register("statistics.promise_intervals", pa.table(table))


def _rates(counts: Counts, totals: Counts) -> Rates:
    rates: Rates = np.full(len(totals), np.nan)
    return np.divide(counts, totals, out=rates, where=totals > 0)
