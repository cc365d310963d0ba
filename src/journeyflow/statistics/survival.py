"""Kaplan-Meier estimates: over slots of time, and of reaching the steps of a funnel within its window."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa

from journeyflow.models.model import python_model
from journeyflow.statistics.proportions import Floats

if TYPE_CHECKING:
    from journeyflow.engines import Engine


_COUNTS = """
    select
        counts.funnel_index, counts.persona, counts.period, counts.step_index, funnels.window_us,
        firsts.person_count as entered_count, counts.matured_entered_count, counts.matured_count
    from funnels.funnel_step_counts as counts
    inner join funnels.funnel_step_counts as firsts
        on firsts.funnel_index = counts.funnel_index and firsts.persona = counts.persona
        and firsts.period = counts.period and firsts.step_index = 1
    inner join config.funnels on funnels.funnel_index = counts.funnel_index
    order by counts.funnel_index, counts.persona, counts.period, counts.step_index
"""
_REACHES = """
    select
        list_position($1, persona) as persona, list_position($2, period) as period, step_index,
        seconds_to_reach as seconds
    from funnels.funnel_reaches
    where funnel_index = $3 and step_index > 1
"""
_WAITING = """
    select
        list_position($1, attempts.persona) as persona, list_position($2, attempts.period) as period,
        attempts.depth,
        cast(date_diff('microsecond', attempts.entered_at, settings.high_water_at) as double) / 1000000 as seconds
    from funnels.funnel_attempts as attempts
    cross join config.settings
    where attempts.funnel_index = $3 and not attempts.is_matured
"""


def rate_within_horizon(reached: Floats, waiting: Floats, spent_count: int, horizon: float) -> float | None:
    """Return the Kaplan-Meier estimate in [0, 1] of reaching a step within the horizon; None for no units at all.

    Where no unit has been observed for the whole horizon it is the estimate at the longest observation, a lower bound.

    Parameters
    ----------
    reached : array of float64
        Seconds from entry to the step, of the units that reached it.
    waiting : array of float64
        Seconds observed so far, of the units that have not reached it and whose horizon is not over.
    spent_count : int
        Units that did not reach it in a whole horizon; at risk to its end, whatever closed their attempts.
    horizon : float
        Seconds; inclusive.

    References
    ----------
    Kaplan and Meier (1958), "Nonparametric estimation from incomplete observations"; as
    ``statsmodels.duration.survfunc.SurvfuncRight``, whose import takes longer than a small run.

    Examples
    --------
    One of three reached the step after a second, one is still waiting after two, one never did:

    >>> round(rate_within_horizon(np.array([1.0]), np.array([2.0]), 1, 10.0), 4)
    0.3333
    """
    if len(reached) + len(waiting) + spent_count == 0:
        return None
    if len(reached) == 0:
        return 0.0
    reached, waiting = np.sort(reached), np.sort(waiting)
    first = np.flatnonzero(np.diff(reached, prepend=-np.inf))
    times, arrived = reached[first], np.diff(first, append=len(reached))
    # At risk at a time are all that are observed at it, those that arrive then included.
    at_risk = len(reached) - first + len(waiting) - np.searchsorted(waiting, times)
    at_risk = at_risk + np.where(times <= horizon, spent_count, 0)
    survival = np.prod(1.0 - arrived / at_risk)
    return float(np.clip(1.0 - survival, 0.0, 1.0))


class ProductLimit(NamedTuple):
    """Estimates after each slot of time: the share still waiting, and the sample that knows it as well."""

    survival: Floats
    size: Floats


def product_limit(events: Floats, at_risk: Floats) -> ProductLimit:
    """Return the Kaplan-Meier estimates over slots of time, along the last axis.

    Where nobody is at risk any more the estimate stays as it was.

    Parameters
    ----------
    events, at_risk : array of float64
        Units whose wait ended in a slot, of those observed in the whole slot and waiting at its beginning.

    Returns
    -------
    ProductLimit
        `size` is the number of units whose plain proportion would have the variance of Greenwood's formula; without
        censoring all units. ``wilson_interval(size * (1 - survival), size)`` is then the interval of Rothman.

    References
    ----------
    Kaplan and Meier (1958), "Nonparametric estimation from incomplete observations"; Rothman (1978), "Estimation of
    confidence limits for the cumulative probability of survival in life table analysis".

    Examples
    --------
    Two of four come back in the first slot; one of the others is not observed longer, the last comes back:

    >>> product_limit(np.array([2.0, 1.0]), np.array([4.0, 1.0])).survival.tolist()
    [0.5, 0.0]
    """
    count = np.maximum(at_risk, 1.0)
    survival = np.asarray(np.cumprod(1.0 - events / count, axis=-1), np.float64)
    before = np.concatenate((np.ones_like(survival[..., :1]), survival[..., :-1]), axis=-1)
    left = np.maximum(count - events, np.where(at_risk > 0, 0.0, 1.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        greenwood = np.cumsum(np.where(events > 0, events / (count * left), 0.0), axis=-1)
        known = (1.0 - survival) / (survival * greenwood)
        # At the ends the formula has no value; this is its limit there.
        limit = at_risk / before
    is_inside = (survival > 0.0) & (survival < 1.0)
    size = np.where(is_inside, known, limit)
    # Where all came back, or nobody is at risk, what was known last is still known.
    slots = np.arange(events.shape[-1])
    last = np.maximum.accumulate(np.where(at_risk > 0, slots, 0), axis=-1)
    return ProductLimit(survival, np.take_along_axis(size, last, axis=-1))


@python_model("statistics.step_survival")
def step_survival(engine: Engine) -> pa.Table:
    """Return the Kaplan-Meier conversion rate of every funnel step.

    Risk time begins at the counted entry and is censored only at the high-water mark; the horizon is the window.

    References
    ----------
    `docs/reference/semantics.md`, section 7.
    """
    counts = engine.rows(_COUNTS)
    rates: list[float | None] = []
    for funnel_index, steps in groupby(counts.to_pylist(), key=itemgetter("funnel_index")):
        rates.extend(_funnel_rates(engine, funnel_index, list(steps)))
    table = {key: counts.column(key) for key in ("funnel_index", "persona", "period", "step_index")}
    table["km_conversion_rate"] = pa.array(rates, pa.float64())
    return pa.table(table)


def _funnel_rates(engine: Engine, funnel_index: int, steps: list[dict[str, Any]]) -> Iterator[float | None]:
    """Yield the rate of every row; times are read only where units are censored before the horizon."""
    if not any(map(_is_censored, steps)):
        yield from map(_plain_rate, steps)
        return
    # Many rows are read: their texts as numbers.
    personas, periods = (sorted({row[key] for row in steps}) for key in ("persona", "period"))
    params = [personas, periods, funnel_index]
    reached, waiting = (pl.DataFrame(engine.rows(query, params)) for query in (_REACHES, _WAITING))
    for (persona, period), group in groupby(steps, key=itemgetter("persona", "period")):
        rows = list(group)
        if not _is_censored(rows[0]):
            yield from map(_plain_rate, rows)
            continue
        chosen = {
            "persona": None if persona == "all" else personas.index(persona) + 1,
            "period": None if period == "all" else periods.index(period) + 1,
        }
        group_reached, group_waiting = _of_group(reached, chosen), _of_group(waiting, chosen)
        for row in rows:
            yield _plain_rate(row) if row["step_index"] == 1 else _estimate(row, group_reached, group_waiting)


def _is_censored(row: dict[str, Any]) -> bool:
    return bool(row["entered_count"] > row["matured_entered_count"])


def _plain_rate(row: dict[str, Any]) -> float | None:
    """Return the proportion, which is what the estimate comes to while no unit is censored before the horizon."""
    if not row["entered_count"]:
        return None
    return 1.0 if row["step_index"] == 1 else row["matured_count"] / row["entered_count"]


def _estimate(row: dict[str, Any], reached: pl.DataFrame, waiting: pl.DataFrame) -> float | None:
    step_index = row["step_index"]
    return rate_within_horizon(
        reached.filter(pl.col("step_index") == step_index)["seconds"].to_numpy(),
        waiting.filter(pl.col("depth") < step_index)["seconds"].to_numpy(),
        row["matured_entered_count"] - row["matured_count"],
        row["window_us"] / 1_000_000,
    )


def _of_group(times: pl.DataFrame, chosen: dict[str, int | None]) -> pl.DataFrame:
    """Return the times of one persona and period; None selects every row."""
    return times.filter(
        pl.lit(value=True), *(pl.col(name) == number for name, number in chosen.items() if number is not None)
    )
