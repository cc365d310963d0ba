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
    limit_of,
    panel,
    rate_alarms,
    tail_chances,
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


def shop(seed, *, series=20, mean=200, dispersion=0.01, fall=0.0, begin=DAYS - 10):
    """Return units and conversions of days with a weekly pattern; the rate of the first series falls at the end."""
    random = np.random.default_rng(seed)
    week = np.cos(2 * np.pi * np.arange(DAYS) / 7)
    units = random.poisson(mean * (1 + 0.3 * week), (series, DAYS))
    rates = np.clip(np.linspace(0.25, 0.75, series)[:, None] + 0.05 * week, 0.02, 0.98)
    rates[0, begin:] *= 1 - fall
    if dispersion:
        rates = random.beta(rates * (1 / dispersion - 1), (1 - rates) * (1 / dispersion - 1))
    return units, random.binomial(units, rates)


def run_days(found, kind):
    return found.filter(kind=kind)["read_day"].n_unique()


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
        dispersion=np.array([[2.0]]), days=np.array([[1e6]])
    )
    strength = (60 - 2) / (2 - 1)  # Of a beta-binomial of 60 with twice the variance of the binomial.
    exact = 2 * betabinom(60, 0.4 * strength, 0.6 * strength).cdf(12)
    assert tail_chances(units, reached, of_day)[0, 0] == pytest.approx(exact, rel=0.15)
    assert tail_chances(units, np.array([[24]]), of_day)[0, 0] == pytest.approx(1, abs=0.1)
    few = of_day._replace(days=np.array([[14.0]]))
    assert tail_chances(units, reached, few)[0, 0] > exact, "a dispersion of few days is not certain"


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
    assert found.units.tolist() == [[7, 0, 7], [2, 0, 7], [4, 0, 0], [4, 0, 0]]
    assert found.reached.tolist() == [[2, 0, 7], [2, 0, 0], [4, 0, 0], [4, 0, 0]]


@pytest.mark.parametrize(("mean", "dispersion"), [(60, 0.0), (200, 0.01), (1000, 0.01)])
def test_days_without_a_cause_are_seldom_alerts(mean, dispersion):
    """Of the runs of 28 days of ten shops with 20 series at most one in twenty raises an alert, here within chance."""
    found = [alerts_among(judged(panel_of(*shop(seed, mean=mean, dispersion=dispersion)), 1)) for seed in range(10)]
    runs = 10 * SHOWN_DAYS
    assert sum(run_days(each, "day") for each in found) <= 0.05 * runs + 2 * (0.05 * 0.95 * runs) ** 0.5
    assert sum(run_days(each, "drift") for each in found) <= 0.05 * runs


def test_an_incident_is_an_alert_within_two_days():
    begin = DAYS - 10
    seen = []
    for seed in range(10):
        world = shop(seed, dispersion=0.003, fall=0.6, begin=begin)
        found = alerts_among(judged(panel_of(*world), 1)).filter(slice="0")
        days = [(day - FIRST).days - begin for day in found["day"] if (day - FIRST).days >= begin]
        seen.append(min(days, default=99))
    assert max(seen) <= 2, seen


def test_a_slow_drift_is_an_alert_though_no_day_is():
    random = np.random.default_rng(5)
    units = np.full((1, DAYS), 25)
    rates = np.where(np.arange(DAYS) < DAYS - 20, 0.5, 0.3)
    found = alerts_among(judged(panel_of(units, random.binomial(units, rates)), 1))
    assert found["kind"].unique().to_list() == ["drift"], "of fewer than 30 units a day is not tested by itself"
    assert found["statistic"].max() < -5
    assert (found["read_day"] - found["day"]).unique().to_list() == [timedelta(days=2)]


def test_nothing_to_test():
    assert alerts_among(judged(panel_of(*(part[:, :40] for part in shop(1))), 1)).is_empty()


def test_a_slow_drift_is_found_among_many_series():
    """A sum that began again before it could be an alert among so many would never be one."""
    found = []
    for seed in range(4):
        random = np.random.default_rng(seed)
        units = np.full((60, DAYS), 200)
        rates = np.full((60, DAYS), 0.3)
        rates[0, -28:] = np.linspace(0.3, 0.22, 28)
        series = panel_of(units, random.binomial(units, rates))
        found.append(
            alerts_among(judged(series, 1, limit_of(60)), limit_of(60)).filter(kind="drift", slice="0").height > 0
        )
    assert sum(found) >= 3, found


def test_a_model_of_one_stage_has_no_series():
    cells = {"funnel_index": 1, "dimension": "all", "slice": "all", "age_days": 0, "depth": 1, "unit_count": 50}
    rows = pl.DataFrame([cells | {"entry_day": FIRST}], schema_overrides={"funnel_index": pl.Int32})
    funnels = pl.DataFrame({"funnel_index": [1], "step_count": [1], "window_us": [86_400_000_000]})
    with DuckDBEngine(threads=1) as engine:
        engine.register("analyses.day_cells", rows.to_arrow())
        engine.register("config.funnels", funnels.to_arrow())
        assert rate_alarms(engine).num_rows == 0
