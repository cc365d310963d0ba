"""What pending units are expected to do, by hand and by simulation."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from journeyflow.analyses.forecasts import (
    SLOTS,
    Cells,
    Landmarks,
    count_landmarks,
    forecast,
    moments_of,
    scored,
    spread_over_time,
)
from support.forecast_backtest import backtest, coverage, repeats

START = datetime(2026, 1, 1)
DAY = timedelta(days=1)


def landmarks(units, converted):
    return Landmarks(np.full(SLOTS, float(units)), np.full(SLOTS, float(converted)))


def ages(**numbers):
    found = np.zeros(SLOTS)
    for slot, number in numbers.items():
        found[int(slot[1:])] = number
    return found


def past(*cells):
    """Return cells of first slot, slot after the last, units and those that converted; of one persona and step."""
    first, last, units, converted = np.array(cells).T
    zeros = np.zeros(len(cells), np.int64)
    return Cells(zeros, zeros + 1, zeros, first, last, units, converted)


def of_one_step(cells):
    units, converted = count_landmarks(cells, 1, 1)
    return Landmarks(units[0, 0], converted[0, 0])


def test_units_count_at_the_ages_at_which_they_were_at_the_step():
    found = of_one_step(past((0, 64, 6, 0), (0, 5, 2, 2), (3, 4, 1, 1)))
    assert found.units[[0, 2, 3, 4, 5, 63]].tolist() == [8, 8, 9, 8, 6, 6]
    assert found.converted[[0, 2, 3, 4, 5, 63]].tolist() == [2, 2, 3, 2, 0, 0]


def test_the_chance_is_that_of_kaplan_and_meier():
    """Eight units: four convert at slots 1, 2, 5 and 9. At age 3 two have, so (4/8 - 2/8) / (1 - 2/8) = 1/3."""
    found = of_one_step(past((0, 1, 1, 1), (0, 2, 1, 1), (0, 5, 1, 1), (0, 9, 1, 1), (0, 64, 4, 0)))
    assert forecast(ages(s3=30), found).expected == pytest.approx(30 * (4 / 8 - 2 / 8) / (1 - 2 / 8))
    assert forecast(ages(s12=30), found).expected == 0


def test_an_age_at_which_nobody_was_is_forecast_by_the_nearest():
    empty = Landmarks(np.zeros(SLOTS), np.zeros(SLOTS))
    assert np.isnan(forecast(ages(s3=2), empty).expected)
    assert forecast(ages(s3=2), empty).interval(0.0) is None
    empty.units[10], empty.converted[10] = 4, 1
    assert forecast(ages(s3=2, s60=2), empty).expected == 1


def test_the_interval_holds_the_expectation_and_stays_in_bounds():
    assert forecast(ages(), landmarks(10, 5)).interval(0.0) == (0, 0)
    for units, converted, number in ((10, 0, 5), (10, 10, 5), (1, 0, 1), (10_000, 5_000, 100_000), (3, 1, 1)):
        for spread in (0.0, 0.2, 100.0):
            found = forecast(ages(s3=number), landmarks(units, converted))
            low, high = found.interval(spread)
            assert 0 <= low <= found.expected <= high <= number
    low, high = forecast(ages(s3=400), landmarks(10**9, 5 * 10**8)).interval(0.0)
    assert (low, high) == (180, 220), "binomial: 200 +- 1.96 * 10"


def test_what_differs_from_time_to_time_widens_the_interval():
    usual = [forecast(ages(s3=1000), landmarks(10**6, 10**5))] * 4
    first = 2 * 0.3**2
    assert spread_over_time(usual, [100.0, 95.0, 105.0, 100.0]) == pytest.approx(first / 6)
    assert spread_over_time(usual, [50.0, 150.0, 60.0, 140.0]) == pytest.approx((first + 4 * 0.196) / 6, abs=1e-3)
    assert spread_over_time([], []) == pytest.approx(first / 2)


def test_moments_are_whole_days_and_windows_before():
    rows = moments_of(
        [{"funnel_index": 1, "funnel": "order", "window_us": 30 * 3_600_000_000, "high_water_at": START}],
        {"order": {START - 5 * DAY}},
    ).to_pylist()
    usual = [row["origin_at"] for row in rows if row["is_usual"]]
    assert usual[-1] == START - timedelta(hours=30)
    assert usual[-2] == START - timedelta(hours=30) - 2 * DAY
    assert [row["origin_at"] for row in rows if not row["is_usual"]] == [START - 5 * DAY]


def shop(seed, units=6000, days=200):
    """Return first and second orders of a shop: half of the customers come back, after two weeks at the mean."""
    random = np.random.default_rng(seed)
    firsts = random.uniform(0, days, units)
    waits = np.where(random.uniform(size=units) < 0.5, random.exponential(14, units), np.inf)
    return {
        key: [START + first * DAY, *([START + (first + wait) * DAY] if first + wait < days else [])]
        for key, (first, wait) in enumerate(zip(firsts, waits, strict=True))
    }


def test_intervals_hold_what_came_in_a_simulated_shop():
    end = START + 200 * DAY
    rows = pl.concat(
        backtest(repeats(shop(seed), 2, 30 * DAY), end, [end - (30 + 15 * n) * DAY for n in range(6)])
        for seed in range(5)
    ).filter(persona="all")
    assert rows.height == 30
    assert coverage(rows) >= 0.9
    total = rows.select(pl.col("expected_count", "came").sum()).row(0)
    assert total[0] == pytest.approx(total[1], rel=0.05)


def stored(**values):
    row = {"funnel": "order", "persona": "all", "step_index": 1, "forecast_at": START, "due_at": START + 7 * DAY}
    row |= {"pending_count": 8, "expected_count": 2.5, "low": 1, "high": 4}
    return row | {"settled_count": None, "converted_count": None} | values


def moment(persona, is_converted, count):
    return {"funnel": "order", "persona": persona, "step_index": 1, "forecast_at": START} | {
        "is_converted": is_converted, "unit_count": count,
    }  # fmt: skip


def test_a_forecast_is_scored_once_when_its_windows_are_over():
    cells = pl.DataFrame([moment("a", True, 2), moment("a", False, 5), moment("b", False, 1)])
    rows = [stored(), stored(persona="b"), stored(persona="c"), stored(funnel="gone")]
    rows += [stored(forecast_at=START - DAY, due_at=START + 6 * DAY, settled_count=3, converted_count=3)]
    early = scored(pl.DataFrame(rows, schema=SCORED), cells, START + 6 * DAY, ["order"])
    assert early["settled_count"].to_list() == [None, None, None, None, 3]
    late = scored(pl.DataFrame(rows, schema=SCORED), cells, START + 7 * DAY, ["order"])
    assert late["settled_count"].to_list() == [8, 1, 0, None, 3]
    assert late["converted_count"].to_list() == [2, 0, 0, None, 3]


SCORED = {
    **dict.fromkeys(("funnel", "persona"), pl.String), "step_index": pl.Int32,
    **dict.fromkeys(("forecast_at", "due_at"), pl.Datetime("us")), "pending_count": pl.Int64,
    "expected_count": pl.Float64, **dict.fromkeys(("low", "high", "settled_count", "converted_count"), pl.Int64),
}  # fmt: skip
