"""Wilson intervals of rates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

if TYPE_CHECKING:
    from journeyflow.config import Config
    from journeyflow.engines import Engine

Counts = npt.NDArray[np.int64]
Rates = npt.NDArray[np.float64]

ALPHA = 0.05
"""Intervals hold 95 in 100 times."""

_STEPS = ("funnel_index", "persona", "period", "step_index")
_STAGES = ("model_index", "persona", "period", "stage_index")


def wilson_interval(counts: Counts, totals: Counts) -> tuple[Rates, Rates]:
    """Return the 95 % Wilson score interval of each rate.

    Parameters
    ----------
    counts, totals : array of int64
        Rate i is `counts[i] / totals[i]`.

    Returns
    -------
    low, high : arrays of float64
        In [0, 1], with the rate between them; NaN where the total is 0.

    References
    ----------
    Wilson (1927), "Probable inference, the law of succession, and statistical inference"; computed by
    ``statsmodels.stats.proportion.proportion_confint``.

    Examples
    --------
    >>> low, high = wilson_interval(np.array([5]), np.array([10]))
    >>> round(float(low[0]), 4), round(float(high[0]), 4)
    (0.2366, 0.7634)
    """
    from statsmodels.stats.proportion import proportion_confint

    low = np.full(len(totals), np.nan)
    high = np.full(len(totals), np.nan)
    known = totals > 0
    if known.any():
        low[known], high[known] = proportion_confint(counts[known], totals[known], alpha=ALPHA, method="wilson")
        rates = counts[known] / totals[known]
        # Rounding may put an end past the rate by one part in 10^16.
        low[known] = np.clip(low[known], 0.0, rates)
        high[known] = np.clip(high[known], rates, 1.0)
    return low, high


def fill_step_intervals(engine: Engine, config: Config) -> None:
    """Fill `statistics.step_intervals`: the interval of the drop-off rate of every funnel step.

    Parameters
    ----------
    engine : Engine
        Holds `journeys.funnel_step_counts`.
    config : Config
        Not read.
    """
    del config
    _fill(engine, "statistics.step_intervals", "journeys.funnel_step_counts", _STEPS)


def fill_stage_intervals(engine: Engine, config: Config) -> None:
    """Fill `statistics.stage_intervals`: the interval of the drop-off rate of every stage of the map.

    Parameters
    ----------
    engine : Engine
        Holds `journeys.stage_bases`.
    config : Config
        Not read.
    """
    del config
    _fill(engine, "statistics.stage_intervals", "journeys.stage_bases", _STAGES)


def _fill(engine: Engine, relation: str, source: str, keys: tuple[str, ...]) -> None:
    """Register the interval of the drop-off rate of every row of `source`."""
    left = "matured_count - matured_next_count as left_count"
    counts = engine.rows(f"select {', '.join(keys)}, matured_count, {left} from {source}")
    low, high = wilson_interval(_column(counts, "left_count"), _column(counts, "matured_count"))
    table = {key: counts.column(key) for key in keys}
    table["drop_off_rate_low"] = pa.array(low, from_pandas=True)
    table["drop_off_rate_high"] = pa.array(high, from_pandas=True)
    engine.register(relation, pa.table(table))


def _column(table: pa.Table, name: str) -> Counts:
    values: Counts = table.column(name).to_numpy().astype(np.int64, copy=False)
    return values
