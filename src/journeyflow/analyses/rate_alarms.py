"""Days on which a rate is not what it was on the like days before, and rates that drift away slowly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from journeyflow.models.python_models import python_model
from journeyflow.statistics.proportions import ALPHA, Floats, Ints
from journeyflow.statistics.tests import discovery_rates

if TYPE_CHECKING:
    from journeyflow.engines import Engine

Bools = npt.NDArray[np.bool_]

WEEKS = 8
"""Like days before a day: the same day of the week in so many weeks."""
LEAST_WEEKS = 4
LEAST_UNITS = 30
"""Units of a day that is tested by itself, and of the like days before it together."""
SHOWN_DAYS = 28
"""Days of the table, by the day on which they could be read."""
SLACK, LIMIT = 0.5, 5.0
"""Of the cumulative sum, in standard deviations: what is taken from each day, and where it is an alert (Page)."""
_GAP, _MEMORY, _LEAST_RESIDUALS, _MOST_RESIDUAL = 7, 28, 14, 3.0
_MEDIAN_SQUARE = 0.454936
"""Median of the square of a standard normal value."""
_CELLS = """
    select cells.funnel_index, cells.dimension, cells.slice, cells.entry_day, cells.age_days, cells.depth,
        cells.unit_count, funnels.step_count, cast(ceil(funnels.window_us / 86400000000.0) as integer) as window_days
    from analyses.day_cells as cells
    inner join config.funnels on funnels.funnel_index = cells.funnel_index
"""
_SERIES = ["funnel_index", "dimension", "slice", "age_days"]
_ORDER = [*_SERIES[:3], "step_index", "day", "age_days", "kind"]
_ROWS = {
    "funnel_index": pl.Int32,
    "dimension": pl.String,
    "slice": pl.String,
    "step_index": pl.Int32,
    "day": pl.Date,
    "age_days": pl.Int32,
    "kind": pl.String,
    "read_day": pl.Date,
    "unit_count": pl.Int64,
    "reached_count": pl.Int64,
    "expected_rate": pl.Float64,
    "statistic": pl.Float64,
    "p_value": pl.Float64,
    "q_value": pl.Float64,
}


class Expected(NamedTuple):
    """What the like days before say of each series and day: the rate, its base, and how much days differ."""

    rate: Floats
    base: Floats
    dispersion: Floats
    days: Floats
    residual: Floats
    is_known: Bools

    def at(self, where: tuple[Ints, ...]) -> Expected:
        """Return what is expected of some series and days, as arrays of one dimension."""
        rate, base, dispersion, days, residual, is_known = self
        return Expected(rate[where], base[where], dispersion[where], days[where], residual[where], is_known[where])


def expected_rates(units: Ints, reached: Ints) -> Expected:
    """Return what is expected of each day from the same days of the week before; arrays are by series and day.

    The dispersion is how much more than by chance four weeks differed from what was expected of them, at least 1. They
    end a week before the day, and residuals are capped: an incident would hide itself and the next one. A day is known
    when four like days, 30 units and the residuals of two weeks are before it.
    """
    base, hits, weeks = np.zeros(units.shape), np.zeros(units.shape), np.zeros(units.shape)
    for week in range(1, WEEKS + 1):
        base[:, 7 * week :] += units[:, : -7 * week]
        hits[:, 7 * week :] += reached[:, : -7 * week]
        weeks[:, 7 * week :] += units[:, : -7 * week] > 0
    rate = (hits + 0.5) / (base + 1)
    variance = units * rate * (1 - rate) * (1 + units / np.maximum(base, 1))
    has_base = (weeks >= LEAST_WEEKS) & (base >= LEAST_UNITS) & (units > 0)
    residual = np.where(has_base, (reached - units * rate) / np.sqrt(np.where(variance > 0, variance, 1.0)), 0.0)
    usual = np.nanmedian(np.where(has_base.any(axis=1, keepdims=True) & ~has_base, np.nan, residual**2), axis=1)
    most = _MOST_RESIDUAL**2 * np.maximum(1.0, usual / _MEDIAN_SQUARE)
    squares = np.cumsum(np.minimum(residual**2, most[:, None]), axis=1)
    numbers = np.cumsum(has_base, axis=1, dtype=np.float64)
    days = _remembered(numbers)
    dispersion = np.maximum(1.0, _remembered(squares) / np.maximum(days, 1))
    return Expected(rate, base, dispersion, days, residual, has_base & (days >= _LEAST_RESIDUALS))


def _remembered(sums: Floats) -> Floats:
    """Return the part of running sums that falls into the weeks that the dispersion is read from."""
    lagged: Floats = _lagged(sums, _GAP) - _lagged(sums, _GAP + _MEMORY)
    return lagged


def _lagged(sums: Floats, days: int) -> Floats:
    lagged = np.zeros_like(sums, np.float64)
    lagged[:, days:] = sums[:, : max(0, sums.shape[1] - days)]
    return lagged


def tail_chances(units: Ints, reached: Ints, expected: Expected) -> Floats:
    """Return two-sided p-values of days: how probable a count at least as far from the expected one is.

    The count is beta-binomial, with the dispersion of the weeks before and the error of the expected rate. Its tails
    are those of the beta distribution of the same mean and variance, half a unit nearer (continuity correction).
    """
    from scipy.special import betainc, ndtri, stdtr

    spread = expected.dispersion * (1 + units / expected.base)
    strength = np.maximum(units / spread - 1, 1e-3)
    # The nearer tail: the other one is no less than a half.
    is_low = reached < units * expected.rate
    share = np.where(is_low, expected.rate, 1 - expected.rate)
    hits = np.where(is_low, reached, units - reached)
    tails = betainc(share * strength, (1 - share) * strength, np.minimum((hits + 0.5) / units, 1.0))
    # The dispersion is known from a few weeks only: Student's distribution in place of the normal one.
    distance = ndtri(np.clip(tails, 1e-300, 0.5))
    return np.asarray(2 * stdtr(np.maximum(expected.days - 1, 1), distance), np.float64)


def cumulative_sums(residuals: Floats, is_known: Bools, limit: float = LIMIT) -> tuple[Floats, Floats]:
    """Return the upper and lower cumulative sums of standardised residuals, by series and day.

    They begin again at 0 on the day after they passed `limit`; an unknown day leaves them as they are.

    References
    ----------
    Page (1954), "Continuous inspection schemes".
    """
    sums = np.zeros((2, *residuals.shape))
    now = np.zeros((2, len(residuals)))
    for day in range(residuals.shape[1]):
        value = np.stack((residuals[:, day], -residuals[:, day]))
        now = np.where(now > limit, 0.0, now)
        now = np.where(is_known[:, day], np.maximum(now + value - SLACK, 0.0), now)
        sums[:, :, day] = np.where(is_known[:, day], now, 0.0)
    return sums[0], sums[1]


@dataclass(frozen=True)
class Panel:
    """Units at a step's predecessor and at the step by series (`keys`) and day, days without a gap from `first`."""

    keys: pl.DataFrame
    first: int
    units: Ints
    reached: Ints


def panel(cells: pl.DataFrame, steps: int) -> Panel:
    """Return the series of one funnel: each step but the first, of each slice and age."""
    series = cells.select(_SERIES).unique(maintain_order=True).with_row_index("series")
    placed = cells.join(series, on=_SERIES, maintain_order="left")
    days = placed["entry_day"].to_physical().to_numpy().astype(np.int64)
    first = int(days.min())
    counts = np.zeros((series.height, int(days.max()) - first + 1, steps), np.int64)
    at = (placed["series"].to_numpy(), days - first, placed["depth"].to_numpy() - 1)
    np.add.at(counts, at, placed["unit_count"].to_numpy())
    reached = np.cumsum(counts[:, :, ::-1], axis=2)[:, :, ::-1].transpose(0, 2, 1)
    keys = series.drop("series").join(
        pl.DataFrame({"step_index": range(2, steps + 1)}, schema={"step_index": pl.Int32}), how="cross"
    )
    flat = [each.reshape(-1, counts.shape[1]) for each in (reached[:, :-1], reached[:, 1:])]
    return Panel(keys, first, *flat)


def limit_of(series: int) -> float:
    """Return the height at which a cumulative sum is an alert among so many series: below it no q-value is small."""
    return max(LIMIT, float(np.log(2 * max(series, 1) / ALPHA)) / (2 * SLACK))


def judged(found: Panel, window_days: int, limit: float = LIMIT) -> pl.DataFrame:
    """Return a row for each test: of each day by itself, and of the drift up to it."""
    expected = expected_rates(found.units, found.reached)
    above, below = cumulative_sums(expected.residual / np.sqrt(expected.dispersion), expected.is_known, limit)
    drift = np.where(above >= below, above, -below)
    ages = found.keys["age_days"].to_numpy()
    read_day = np.where(ages == 0, window_days, ages)[:, None] + 1 + np.arange(found.units.shape[1]) + found.first
    is_shown = expected.is_known & (read_day > read_day.max() - SHOWN_DAYS)
    by_day = np.nonzero(is_shown & (found.units >= LEAST_UNITS))
    of_days = expected.at(by_day)
    day_chances = tail_chances(found.units[by_day], found.reached[by_day], of_days)
    by_drift = np.nonzero(is_shown)
    # Of the sum in control: it passes a height h with a chance of about exp(-2 SLACK h), on either side.
    drift_chances = np.minimum(1.0, 2 * np.exp(-2 * SLACK * np.abs(drift[by_drift])))
    parts = []
    for kind, (row, day), statistic, chances in (
        ("day", by_day, expected.residual / np.sqrt(expected.dispersion), day_chances),
        ("drift", by_drift, drift, drift_chances),
    ):
        columns = {
            "day": (day + found.first).astype(np.int32), "read_day": read_day[row, day].astype(np.int32),
            "unit_count": found.units[row, day], "reached_count": found.reached[row, day],
            "expected_rate": expected.rate[row, day], "statistic": statistic[row, day], "p_value": chances,
        }  # fmt: skip
        numbers = pl.DataFrame(columns).with_columns(pl.col("day", "read_day").cast(pl.Date))
        parts.append(pl.concat([found.keys[row], numbers], how="horizontal").with_columns(pl.lit(kind).alias("kind")))
    return pl.concat(parts)


@python_model("analyses.rate_alarms")
def rate_alarms(engine: Engine) -> pa.Table:
    """Return the days and drifts that are alerts: beyond chance among all that could first be read on the same day.

    References
    ----------
    `docs/adr/0041-alerts-on-rates.md`.
    """
    cells = pl.DataFrame(engine.rows(_CELLS))
    # A model of one stage has no step to reach.
    funnels = cells.filter(pl.col("step_count") > 1).partition_by("funnel_index", maintain_order=True)
    panels = [panel(each, each["step_count"][0]) for each in funnels]
    limit = limit_of(sum(len(each.units) for each in panels))
    parts = [judged(each, cells["window_days"][0], limit) for each, cells in zip(panels, funnels, strict=True)]
    rows = pl.concat(parts) if parts else pl.DataFrame(schema=_ROWS)
    return alerts_among(rows, limit).to_arrow()


def alerts_among(rows: pl.DataFrame, limit: float = LIMIT) -> pl.DataFrame:
    """Return the tests that are alerts; q-values are among the tests of one kind that could be read on the same day.

    A day of a series is listed once, at the youngest age at which it stands out.
    """
    if rows.is_empty():
        return pl.DataFrame(schema=_ROWS)
    family = rows.select(pl.struct("read_day", "kind").rank("dense")).to_series().to_numpy().astype(np.int64)
    q_values = discovery_rates(rows["p_value"].to_numpy(), family)
    is_alert = (pl.col("q_value") <= ALPHA) & ((pl.col("kind") == "day") | (pl.col("statistic").abs() > limit))
    found = rows.with_columns(pl.Series("q_value", q_values)).filter(is_alert)
    found = found.sort("read_day", "age_days").unique([*_SERIES[:3], "step_index", "day", "kind"], keep="first")
    return found.select(list(_ROWS)).sort(_ORDER).cast(_ROWS)  # type: ignore[arg-type]
