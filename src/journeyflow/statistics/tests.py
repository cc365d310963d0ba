"""Tests of the lift of touchpoints, with controlled false discovery rate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pyarrow as pa

from journeyflow.models.python_models import python_model
from journeyflow.statistics.proportions import CRITICAL, Floats, Ints, Strata, conditional_tails

if TYPE_CHECKING:
    from journeyflow.engines import Engine


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
