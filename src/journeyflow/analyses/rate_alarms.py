"""Days on which a rate is not what it was on the like days before, and rates that drift away slowly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from journeyflow.models.model import python_model
from journeyflow.statistics.proportions import ALPHA, Floats, Ints, discovery_rates

if TYPE_CHECKING:
    from journeyflow.engines import Engine

Bools = npt.NDArray[np.bool_]
AnyNumbers = TypeVar("AnyNumbers", Ints, Floats)

WEEKS = 8
"""Like days before a day: the same day of the week in so many weeks."""
LEAST_WEEKS = 4
LEAST_UNITS = 30
"""Units of a day that is tested by itself, and of the like days before it together."""
OTHER_DAYS = 10
"""Units that the other days of a channel count for, beside those of its like days."""
SHOWN_DAYS = 28
"""Days of the table, by the day on which they could be read."""
SLACK, LIMIT = 0.5, 5.0
"""Of the cumulative sum, in standard deviations: what is taken from each day, and where it is an alert (Page)."""
_GAP, _MEMORY, _LEAST_RESIDUALS, _MOST_RESIDUAL = 7, 56, 14, 3.0
_MEDIAN_SQUARE = 0.454936
"""Median of the square of a standard normal value."""
_CELLS = """
    select cells.funnel_index, cells.dimension, cells.slice, cells.entry_day, cells.age_days, cells.depth,
        cells.unit_count, funnels.step_count, cast(ceil(funnels.window_us / 86400000000.0) as integer) as window_days
    from analyses.day_cells as cells
    inner join config.funnels on funnels.funnel_index = cells.funnel_index
    order by cells.funnel_index, cells.dimension, cells.slice, cells.entry_day, cells.age_days, cells.depth
"""
"""In one order: sums of floating-point numbers depend on it."""
_SERIES = ["funnel_index", "dimension", "slice", "age_days"]
_CLOCK = ["dimension", "age_days", "step_index"]
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
    """What the like days before say of each series and day; the residual is in standard deviations of the count.

    Its `variance` is that of chance, of the expected rate, and of what days differ by, which is known from so many
    `days`.
    """

    rate: Floats
    variance: Floats
    days: Floats
    residual: Floats
    is_known: Bools

    def at(self, where: tuple[Ints, ...]) -> Expected:
        """Return what is expected of some series and days, as arrays of one dimension."""
        return Expected._make(part[where] for part in self)


class LikeDays(NamedTuple):
    """Of the same day of the week in the weeks before: units, those that reached the step, weeks, and most of a day."""

    units: Ints
    reached: Ints
    weeks: Ints
    most: Ints


def like_days(units: Ints, reached: Ints) -> LikeDays:
    """Return what was there on the same day of the week in the weeks before, by series and day."""
    found = LikeDays._make(np.zeros(units.shape, np.int64) for _ in LikeDays._fields)
    for week in range(1, WEEKS + 1):
        then, now = units[:, : -7 * week], np.s_[:, 7 * week :]
        found.units[now] += then
        found.reached[now] += reached[:, : -7 * week]
        found.weeks[now] += then > 0
        np.maximum(found.most[now], then, out=found.most[now])
    return found


def expected_rates(units: Ints, reached: Ints, part_of: Ints | None = None) -> Expected:
    """Return what is expected of each day from the same days of the week before; arrays are by series and day.

    `part_of` gives the series that each one is a part of, -1 where of none. A whole is expected to do what its parts
    did, each as often as it is there on the day: who came is no change of what they do. Nor is it known what those do
    who are more than on any like day: their rate may be any.

    Units of a day are alike: their correlation is read from eight weeks that end a week before the day, from residuals
    that are capped, or an incident would hide itself and the next one. A day is known when four like days, 30 units and
    the residuals of two weeks are before it.
    """
    like = like_days(units, reached)
    rate = (like.reached + 0.5) / (like.units + 1)
    mean, chance = units * rate, units * rate * (1 - rate)
    error = units * chance / np.maximum(like.units, 1)
    if part_of is not None and (part_of >= 0).any():
        parts = np.flatnonzero(part_of >= 0)
        for into, sums in zip(
            (mean, chance, error), _sums_of_parts(units[parts], reached[parts], rate[part_of[parts]]), strict=True
        ):
            into[np.unique(part_of[parts])] = 0.0
            np.add.at(into, part_of[parts], sums)
    has_base = (like.weeks >= LEAST_WEEKS) & (like.units >= LEAST_UNITS) & (units > 0)
    usual_units = like.units / np.maximum(like.weeks, 1)
    alike = np.where(has_base, chance * (units - 1) + error * np.maximum(usual_units - 1, 0), 0.0)
    # A rate of which nothing is known has a third of the variance that one of 0 or 1 would have.
    error += np.maximum(units - like.most, 0) ** 2 * rate * (1 - rate) / 3
    total = np.maximum(chance + error, 1e-9)
    alike /= total
    residual = np.where(has_base, (reached - mean) / np.sqrt(total), 0.0)
    correlation, days = _correlation(residual, alike, has_base)
    spread = 1 + correlation * alike
    return Expected(
        rate=np.where(units > 0, mean / np.maximum(units, 1), rate),
        variance=spread * total,
        days=days,
        residual=residual / np.sqrt(spread),
        is_known=has_base & (days >= _LEAST_RESIDUALS),
    )


def _sums_of_parts(units: Ints, reached: Ints, whole: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the expected count of each part, its variance by chance and that of its rate.

    Where a part has few units on the like days its other days say more, and where it has few on any the `whole` does.
    """
    like = like_days(units, reached)
    seen, came = (
        _lagged(sums, 1) - _lagged(sums, 7 * WEEKS + 1)
        for sums in (np.cumsum(each, axis=1, dtype=np.float64) for each in (units, reached))
    )
    usual = (came + whole) / (seen + 1)
    prior = 1 + np.minimum(seen, OTHER_DAYS)
    rate = (like.reached + prior * usual) / (like.units + prior)
    chance = units * rate * (1 - rate)
    return units * rate, chance, units * chance / (like.units + prior)


def _correlation(residual: Floats, alike: Floats, has_base: Bools) -> tuple[Floats, Floats]:
    """Return the correlation of the units of a day, by the method of moments, and the days that it is read from.

    A square is expected to be 1 and `alike` times the correlation.
    """
    usual = np.nanmedian(np.where(has_base.any(axis=1, keepdims=True) & ~has_base, np.nan, residual**2), axis=1)
    most = _MOST_RESIDUAL**2 * np.maximum(1.0, usual / _MEDIAN_SQUARE)
    squares = np.minimum(residual**2, most[:, None])
    beyond, sizes, days = (
        _remembered(np.cumsum(each, axis=1, dtype=np.float64)) for each in (squares - has_base, alike, has_base)
    )
    return np.clip(beyond / np.maximum(sizes, 1.0), 0.0, 1.0), days


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

    binomial = units * expected.rate * (1 - expected.rate)
    strength = np.maximum(units * binomial / np.maximum(expected.variance, 1e-9) - 1, 1e-3)
    # The nearer tail: the other one is no less than a half.
    is_low = reached < units * expected.rate
    share = np.where(is_low, expected.rate, 1 - expected.rate)
    hits = np.where(is_low, reached, units - reached)
    tails = betainc(share * strength, (1 - share) * strength, np.minimum((hits + 0.5) / units, 1.0))
    # The dispersion is known from a few weeks only: Student's distribution in place of the normal one.
    distance = ndtri(np.clip(tails, 1e-300, 0.5))
    return np.asarray(2 * stdtr(np.maximum(expected.days - 1, 1), distance), np.float64)


def two_days(units: Ints, reached: Ints, expected: Expected) -> tuple[Ints, Ints, Expected]:
    """Return units, those that reached the step and what is expected of each day and the one before it together."""
    both = Expected(
        rate=_with_day_before(units * expected.rate) / np.maximum(_with_day_before(units), 1),
        variance=_with_day_before(expected.variance),
        days=expected.days,
        residual=np.zeros(units.shape),
        is_known=_with_day_before(expected.is_known.astype(np.int64)) == 2,
    )
    units, reached = _with_day_before(units), _with_day_before(reached)
    deviation = np.sqrt(np.maximum(both.variance, 1e-9))
    return units, reached, both._replace(residual=(reached - units * both.rate) / deviation)


def _with_day_before(values: AnyNumbers) -> AnyNumbers:
    sums = values.copy()
    sums[:, 1:] += values[:, :-1]
    return sums


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
    """Units at a step's predecessor and at the step by series (`keys`) and day, days without a gap from `first`.

    `part_of` is the row of the series of all units where the series is of a channel, else -1.
    """

    keys: pl.DataFrame
    first: int
    units: Ints
    reached: Ints
    part_of: Ints | None = None


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
    place = {row[1:]: at for at, row in enumerate(keys.select(_CLOCK).rows()) if row[0] == "all"}
    part_of = np.array([place[row[1:]] if row[0] == "channel" else -1 for row in keys.select(_CLOCK).rows()], np.int64)
    return Panel(keys, first, flat[0], flat[1], part_of)


def limit_of(tests: int) -> float:
    """Return the height at which a cumulative sum is an alert among so many tests: below it no q-value is small."""
    return max(LIMIT, float(np.log(2 * max(tests, 1) / ALPHA)) / (2 * SLACK))


class Tests(NamedTuple):
    """The series and days (`at`) that are tested in one way, of arrays by series and day."""

    kind: str
    units: Ints
    reached: Ints
    expected: Expected
    at: tuple[Ints, Ints]


def tests_of(found: Panel, window_days: int) -> tuple[Ints, list[Tests]]:
    """Return the day on which each day of a series can be read, and the tests: of it, with the one before, of drift."""
    ages = found.keys["age_days"].to_numpy()
    read_day = np.where(ages == 0, window_days, ages)[:, None] + 1 + np.arange(found.units.shape[1]) + found.first
    is_shown = read_day > read_day.max() - SHOWN_DAYS
    days = (found.units, found.reached, expected_rates(found.units, found.reached, found.part_of))
    tests = []
    for kind, (units, reached, expected) in (("day", days), ("two_days", two_days(*days)), ("drift", days)):
        is_tested = is_shown & expected.is_known & ((units >= LEAST_UNITS) | (kind == "drift"))
        rows, columns = np.nonzero(is_tested)
        tests.append(Tests(kind, units, reached, expected, (rows, columns)))
    return read_day, tests


def judged(panels: Sequence[tuple[Panel, int]]) -> tuple[pl.DataFrame, float]:
    """Return a row for each test, and the limit of drifts; of each panel the days of its window are given."""
    found = [(panel, *tests_of(panel, window_days)) for panel, window_days in panels]
    limit = limit_of(sum(len(np.unique(each.at[0])) for _, _, tests in found for each in tests))
    parts = [_rows(panel, read_day, each, limit) for panel, read_day, tests in found for each in tests]
    return (pl.concat(parts) if parts else pl.DataFrame(schema=_ROWS)), limit


def _rows(found: Panel, read_day: Ints, tests: Tests, limit: float) -> pl.DataFrame:
    kind, units, reached, expected, at = tests
    if kind == "drift":
        above, below = cumulative_sums(expected.residual, expected.is_known, limit)
        statistic = np.where(above >= below, above, -below)[at]
        # Of the sum in control: it passes a height h with a chance of about exp(-2 SLACK h), on either side.
        chances = np.minimum(1.0, 2 * np.exp(-2 * SLACK * np.abs(statistic)))
    else:
        statistic, chances = expected.residual[at], tail_chances(units[at], reached[at], expected.at(at))
    columns = {
        "day": (at[1] + found.first).astype(np.int32), "read_day": read_day[at].astype(np.int32),
        "unit_count": units[at], "reached_count": reached[at], "expected_rate": expected.rate[at],
        "statistic": statistic, "p_value": chances,
    }  # fmt: skip
    numbers = pl.DataFrame(columns).with_columns(pl.col("day", "read_day").cast(pl.Date))
    return pl.concat([found.keys[at[0]], numbers], how="horizontal").with_columns(pl.lit(kind).alias("kind"))


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
    rows, limit = judged([(panel(each, each["step_count"][0]), each["window_days"][0]) for each in funnels])
    return alerts_among(rows, limit).to_arrow()


def alerts_among(rows: pl.DataFrame, limit: float = LIMIT) -> pl.DataFrame:
    """Return the tests that are alerts; q-values are among all tests that could be read on the same day.

    A day of a series is listed once, at the youngest age at which it stands out; two days only where neither does.
    """
    if rows.is_empty():
        return pl.DataFrame(schema=_ROWS)
    family = rows.select(pl.struct("read_day").rank("dense")).to_series().to_numpy().astype(np.int64)
    q_values = discovery_rates(rows["p_value"].to_numpy(), family)
    is_alert = (pl.col("q_value") <= ALPHA) & ((pl.col("kind") != "drift") | (pl.col("statistic").abs() > limit))
    found = rows.with_columns(pl.Series("q_value", q_values)).filter(is_alert)
    key = [*_SERIES[:3], "step_index", "day"]
    found = found.sort("read_day", "age_days").unique([*key, "kind"], keep="first")
    days = found.filter(kind="day").select(key)
    days = pl.concat([days, days.with_columns(pl.col("day") + pl.duration(days=1))])
    two = found.filter(kind="two_days").join(days, on=key, how="anti")
    found = pl.concat([found.filter(pl.col("kind") != "two_days"), two])
    return found.select(list(_ROWS)).sort(_ORDER).cast(_ROWS)  # type: ignore[arg-type]
