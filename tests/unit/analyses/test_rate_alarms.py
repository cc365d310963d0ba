"""Which days of a rate are alerts: by hand, on days without a cause, and where an incident was planted."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from scipy.stats import betabinom

from journeyflow.analyses.rate_alarms import (
    SHOWN_DAYS,
    Panel,
    alerts_among,
    cumulative_sums,
    expected_rates,
    judged,
    panel,
    rate_alarms,
    tail_chances,
    two_days,
)
from journeyflow.engines import DuckDBEngine

FIRST = date(2026, 1, 5)
DAYS = 150


def panel_of(units, reached, age=1):
    keys = pl.DataFrame(
        [
            {"funnel_index": 1, "dimension": "persona", "slice": f"{number}", "age_days": age, "step_index": 2}
            for number in range(len(units))
        ],
        schema_overrides=dict.fromkeys(("funnel_index", "age_days", "step_index"), pl.Int32),
    )
    return Panel(keys, (FIRST - date(1970, 1, 1)).days, units, reached)


def alerts_in(*worlds):
    """Return the alerts of funnels of one step with a window of a day."""
    return alerts_among(*judged([(panel_of(*world), 1) for world in worlds]))


def shop(seed, *, series=20, mean=200, dispersion=0.01, fall=0.0, begin=DAYS - 10, low=0.25):
    """Return units and conversions of days with a weekly pattern; the rate of the first series falls at the end."""
    random = np.random.default_rng(seed)
    week = np.cos(2 * np.pi * np.arange(DAYS) / 7)
    units = random.poisson(mean * (1 + 0.3 * week), (series, DAYS))
    rates = np.clip(np.linspace(low, 0.75, series)[:, None] + 0.05 * week, 0.02, 0.98)
    rates[0, begin:] *= 1 - fall
    if dispersion:
        rates = random.beta(rates * (1 / dispersion - 1), (1 - rates) * (1 / dispersion - 1))
    return units, random.binomial(units, rates)


def test_the_like_days_are_those_of_the_week_before():
    units = np.full((1, 70), 10)
    reached = np.where(np.arange(70) % 7 == 3, 8, 2)[None]
    found = expected_rates(units, reached)
    assert found.rate[0, 59] == pytest.approx(64.5 / 81), "a day like the third, after eight of them"
    assert found.rate[0, 60] == pytest.approx(16.5 / 81)
    known = int(found.is_known[0].argmax())
    assert known == 28 + 7 + 13, "after four like days, two weeks of residuals and the week that is left out"


def test_p_values_are_those_of_the_beta_binomial():
    units, reached = np.array([[60]]), np.array([[12]])
    found = expected_rates(np.full((1, 80), 10**7), np.full((1, 80), 4 * 10**6))
    of_day = type(found)(*(part[:, -1:] for part in found))._replace(
        variance=np.array([[2 * 60 * 0.4 * 0.6]]), days=np.array([[1e6]])
    )
    strength = (60 - 2) / (2 - 1)  # Of a beta-binomial of 60 with twice the variance of the binomial.
    exact = 2 * betabinom(60, 0.4 * strength, 0.6 * strength).cdf(12)
    assert tail_chances(units, reached, of_day)[0, 0] == pytest.approx(exact, rel=0.15)
    assert tail_chances(units, np.array([[24]]), of_day)[0, 0] == pytest.approx(1, abs=0.1)
    few = of_day._replace(days=np.array([[14.0]]))
    assert tail_chances(units, reached, few)[0, 0] > exact, "a dispersion of few days is not certain"


def test_units_of_a_day_are_alike_so_a_large_day_varies_more():
    """Days of 50 and of 400 units with one correlation: no factor of the variance is that of both."""
    random = np.random.default_rng(3)
    units = np.where(np.arange(DAYS) % 7 == 5, 400, 50)[None].repeat(60, axis=0)
    rates = random.beta(0.4 * 99, 0.6 * 99, units.shape)
    found = expected_rates(units, random.binomial(units, rates))
    for size in (50, 400):
        variance = size * 0.4 * 0.6 * (1 + 0.01 * (size - 1))
        known = found.variance[:, 120:][units[:, 120:] == size]
        assert np.mean(known) == pytest.approx(variance * (1 + 1 / 8), rel=0.15), size


def channels(units, reached):
    """Return what is expected of a whole and its two parts."""
    whole = (units.sum(axis=0), reached.sum(axis=0))
    return expected_rates(
        *(np.vstack(pair) for pair in zip(whole, (units, reached), strict=True)), np.array([-1, 0, 0])
    )


def test_who_came_is_no_change_of_what_they_do():
    """A mailing every other week on a Thursday brings hundreds who buy little: nobody does anything else."""
    day = np.arange(DAYS)
    units = np.array([np.full(DAYS, 80), np.where(day % 14 == 3, 200, 20)])
    reached = np.array([units[0] // 2, units[1] // 10])
    whole = channels(units, reached)
    assert np.abs(whole.residual[0][whole.is_known[0]]).max() < 0.1
    pooled = expected_rates(units.sum(axis=0)[None], reached.sum(axis=0)[None])
    assert np.abs(pooled.residual[0][pooled.is_known[0]]).max() > 2
    # A part that falls makes the whole fall.
    reached[0, -1] = 0
    assert channels(units, reached).residual[0, -1] < -4


def test_a_channel_of_few_units_has_its_own_rate():
    """Two of them a day do not pull the whole towards what all do, day after day."""
    units = np.array([np.full(DAYS, 50), np.full(DAYS, 2)])
    reached = np.array([np.full(DAYS, 25), np.zeros(DAYS, int)])
    found = channels(units, reached)
    assert np.abs(found.residual[0][found.is_known[0]]).max() < 0.1


def test_what_more_units_than_ever_do_is_not_known():
    """Three times as many as on any like day, with half the rate: the others may have done as ever."""
    units, reached = np.full((1, DAYS), 100), np.full((1, DAYS), 50)
    units[0, -1], reached[0, -1] = 300, 75
    assert alerts_in((units, reached)).is_empty()
    units[0, -1], reached[0, -1] = 100, 25
    assert alerts_in((units, reached))["kind"].to_list() == ["day"]


def test_two_days_by_hand():
    units, reached = np.full((1, DAYS), 40), np.full((1, DAYS), 20)
    found = expected_rates(units, reached)
    both_units, both_reached, both = two_days(units, reached - 5, found)
    assert (both_units[0, -1], both_reached[0, -1]) == (80, 30)
    assert both.variance[0, -1] == pytest.approx(2 * 40 * 0.25 * (1 + 1 / 8), rel=0.01)
    assert both.residual[0, -1] == pytest.approx(-10 / both.variance[0, -1] ** 0.5, rel=0.01)
    first = int(found.is_known[0].argmax())
    assert not both.is_known[0, first]
    assert both.is_known[0, first + 1]


def test_cumulative_sums_by_hand():
    up, down = cumulative_sums(np.array([[2.0, 9.0, 4.0, -1.0, -4.0, 1.0]]), np.array([[1, 0, 1, 1, 1, 1]], bool))
    assert up.tolist() == [[1.5, 0, 5.0, 3.5, 0, 0.5]]
    assert down.tolist() == [[0, 0, 0, 0.5, 4.0, 2.5]]
    up, _ = cumulative_sums(np.array([[6.0, 1.0]]), np.ones((1, 2), bool))
    assert up.tolist() == [[5.5, 0.5]], "after an alert it begins again"


def test_a_series_is_a_step_of_a_slice_at_an_age():
    rows = [(1, "all", "all", FIRST, 1, 1, 5), (1, "all", "all", FIRST, 1, 3, 2), (1, "all", "all", FIRST, 0, 3, 4)]
    rows.append((1, "all", "all", FIRST + timedelta(days=2), 1, 2, 7))
    names = ["funnel_index", "dimension", "slice", "entry_day", "age_days", "depth", "unit_count"]
    found = panel(pl.DataFrame(rows, schema=names, orient="row"), 3)
    assert found.keys.select("age_days", "step_index").rows() == [(1, 2), (1, 3), (0, 2), (0, 3)]
    assert found.part_of.tolist() == [-1] * 4
    assert found.units.tolist() == [[7, 0, 7], [2, 0, 7], [4, 0, 0], [4, 0, 0]]
    assert found.reached.tolist() == [[2, 0, 7], [2, 0, 0], [4, 0, 0], [4, 0, 0]]


@pytest.mark.parametrize(("mean", "dispersion"), [(60, 0.0), (200, 0.01), (1000, 0.01)])
def test_days_without_a_cause_are_seldom_alerts(mean, dispersion):
    """Of the runs of 28 days of ten shops with 20 series at most one in twenty raises an alert, here within chance."""
    runs = 10 * SHOWN_DAYS
    found = [alerts_in(shop(seed, mean=mean, dispersion=dispersion)) for seed in range(10)]
    assert sum(each["read_day"].n_unique() for each in found) <= 0.05 * runs + 2 * (0.05 * 0.95 * runs) ** 0.5


@pytest.mark.parametrize(("fall", "mean", "least"), [(0.6, 60, 9), (0.4, 100, 9), (0.3, 200, 9)])
def test_an_incident_is_an_alert_within_two_days(fall, mean, least):
    """Falls of a rate of 50 % that days of so many units can show at all: by four standard errors in two days."""
    begin = DAYS - 10
    seen = []
    for seed in range(10):
        found = alerts_in(shop(seed, mean=mean, dispersion=0.003, fall=fall, begin=begin, low=0.5)).filter(slice="0")
        days = [(day - FIRST).days - begin for day in found["day"] if (day - FIRST).days >= begin]
        seen.append(min(days, default=99))
    assert sum(day <= 1 for day in seen) >= least, seen


def test_two_days_are_an_alert_though_none_is_by_itself():
    units, reached = np.full((40, DAYS), 60), np.full((40, DAYS), 30)
    random = np.random.default_rng(2)
    reached[:, :-2] = random.binomial(60, 0.5, (40, DAYS - 2))
    reached[0, -2:] = 16
    assert alerts_in((units, reached)).filter(slice="0").select("kind", "unit_count").rows() == [("two_days", 120)]


def test_a_slow_drift_is_an_alert_though_no_day_is():
    random = np.random.default_rng(5)
    units = np.full((1, DAYS), 14)
    rates = np.where(np.arange(DAYS) < DAYS - 20, 0.5, 0.3)
    found = alerts_in((units, random.binomial(units, rates)))
    assert found["kind"].unique().to_list() == ["drift"], "two days of fewer than 30 units are not tested by themselves"
    assert found["statistic"].max() < -5
    assert (found["read_day"] - found["day"]).unique().to_list() == [timedelta(days=2)]


def test_nothing_to_test():
    assert alerts_in(tuple(part[:, :40] for part in shop(1))).is_empty()


def test_a_slow_drift_is_found_among_many_series():
    """A sum that began again before it could be an alert among so many would never be one."""
    found = []
    for seed in range(4):
        random = np.random.default_rng(seed)
        units = np.full((60, DAYS), 200)
        rates = np.full((60, DAYS), 0.3)
        rates[0, -28:] = np.linspace(0.3, 0.22, 28)
        alerts = alerts_in((units, random.binomial(units, rates)))
        found.append(alerts.filter(kind="drift", slice="0").height > 0)
    assert sum(found) >= 3, found


def test_a_model_of_one_stage_has_no_series():
    cells = {"funnel_index": 1, "dimension": "all", "slice": "all", "age_days": 0, "depth": 1, "unit_count": 50}
    rows = pl.DataFrame([cells | {"entry_day": FIRST}], schema_overrides={"funnel_index": pl.Int32})
    funnels = pl.DataFrame({"funnel_index": [1], "step_count": [1], "window_us": [86_400_000_000]})
    with DuckDBEngine(threads=1) as engine:
        engine.register("analyses.day_cells", rows.to_arrow())
        engine.register("config.funnels", funnels.to_arrow())
        assert rate_alarms(engine).num_rows == 0


def test_the_order_of_the_rows_in_the_database_changes_no_figure():
    generator = np.random.default_rng(11)
    rows = [
        (1, dimension, part, FIRST + timedelta(days=day), 1, depth, count, 2, 1)
        for day in range(DAYS)
        for part, size in (("web", 37), ("app", 53), ("mail", 71))
        for depth, count in enumerate(generator.multinomial(size, (0.7, 0.3) if day < DAYS - 3 else (1.0, 0.0)), 1)
        for dimension in ("channel",)
    ]
    totals = {}
    for _, _, _, day, age, depth, count, *_ in rows:
        totals[day, age, depth] = totals.get((day, age, depth), 0) + count
    rows += [(1, "all", "all", day, age, depth, count, 2, 1) for (day, age, depth), count in totals.items()]
    names = ("funnel_index", "dimension", "slice", "entry_day", "age_days", "depth", "unit_count", "steps", "days")
    cells = pl.DataFrame(rows, names, orient="row")

    def figures(shown):
        with DuckDBEngine(threads=1) as engine:
            engine.register("given", shown.to_arrow())
            engine.execute("create schema analyses")
            engine.execute("create schema config")
            engine.execute("create table analyses.day_cells as select * from given")
            engine.execute(
                "create table config.funnels as select 1 as funnel_index, 2 as step_count, 86400000000 as window_us"
            )
            return rate_alarms(engine)

    found = figures(cells)
    assert found.num_rows
    assert all(figures(cells.sample(fraction=1, shuffle=True, seed=seed)).equals(found) for seed in range(3))
