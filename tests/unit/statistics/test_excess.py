"""Excess rates, ratios and discoveries against libraries."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import confint_proportions_2indep

from journeyflow.statistics.proportions import Strata, wilson_interval
from journeyflow.statistics.tests import discovery_rates, ratio_interval, standardised_excess


def tables(*rows):
    return Strata(*(np.array(values, dtype=np.int64) for values in zip(*rows, strict=True)))


def test_one_stratum_is_newcombe_s_interval():
    said = standardised_excess(tables((0, 70, 56, 80, 48), (1, 30, 0, 40, 12), (2, 33, 33, 50, 1)))
    for i, (n, a, m, c) in enumerate([(70, 56, 80, 48), (30, 0, 40, 12), (33, 33, 50, 1)]):
        low, high = confint_proportions_2indep(a, n, c, m, compare="diff", method="newcomb")
        assert said.excess[i] == pytest.approx(a / n - c / m)
        assert (said.low[i], said.high[i]) == pytest.approx((low, high))


def test_strata_are_weighed_by_the_exposed():
    """40 of 50 against a tenth, and 10 of 150 against a fifteenth: 35 more were lost than would have been."""
    said = standardised_excess(tables((0, 50, 40, 100, 10), (0, 150, 10, 300, 20)))
    assert said.exposed[0] == 200
    assert said.rate[0] == pytest.approx(50 / 200)
    assert said.base_rate[0] == pytest.approx((5 + 10) / 200)
    assert said.excess[0] * 200 == pytest.approx(35)
    low, high = wilson_interval(np.array([40, 10]), np.array([50, 150]))
    base_low, base_high = wilson_interval(np.array([10, 20]), np.array([100, 300]))
    below = math.hypot(
        50 * (0.8 - low[0]), 50 * (base_high[0] - 0.1), 150 * (1 / 15 - low[1]), 150 * (base_high[1] - 1 / 15)
    )
    above = math.hypot(
        50 * (high[0] - 0.8), 50 * (0.1 - base_low[0]), 150 * (high[1] - 1 / 15), 150 * (1 / 15 - base_low[1])
    )
    assert said.low[0] * 200 == pytest.approx(35 - below)
    assert said.high[0] * 200 == pytest.approx(35 + above)


def test_a_stratum_without_others_is_left_out():
    with_it, without = (
        standardised_excess(tables(*rows)) for rows in ([(0, 50, 40, 100, 10), (0, 9, 9, 0, 0)], [(0, 50, 40, 100, 10)])
    )
    assert [values.tolist() for values in with_it] == [values.tolist() for values in without]
    alone = standardised_excess(tables((0, 9, 9, 0, 0)))
    assert alone.exposed.tolist() == [0]
    assert np.isnan(alone.excess[0])


def test_the_interval_holds_the_truth_95_times_in_100():
    draw = np.random.default_rng(11)
    count = 4_000
    rows = [(np.arange(count), n, draw.binomial(n, p, count), m, draw.binomial(m, q, count)) for n, p, m, q in [
        (60, 0.3, 200, 0.2), (150, 0.1, 90, 0.12)
    ]]  # fmt: skip
    parts = [[np.broadcast_to(value, count) for value in row] for row in rows]
    said = standardised_excess(Strata(*(np.stack(pair, axis=1).ravel() for pair in zip(*parts, strict=True))))
    truth = (60 * (0.3 - 0.2) + 150 * (0.1 - 0.12)) / 210
    assert 0.94 <= ((said.low <= truth) & (truth <= said.high)).mean() <= 0.97


@given(st.lists(st.tuples(*(4 * [st.integers(0, 200)])), min_size=1, max_size=20))
def test_the_ratio_is_in_its_interval(rows):
    pairs = [(min(a, n), max(a, n, 1), min(c, m), max(c, m, 1)) for a, n, c, m in rows]
    low, high = ratio_interval(*(np.array(values) for values in zip(*pairs, strict=True)))
    for i, (a, n, c, m) in enumerate(pairs):
        if c == 0:
            assert np.isnan(low[i])
        else:
            assert low[i] <= (a / n) / (c / m) <= high[i]


def test_the_ratio_s_interval_is_worked_by_hand():
    low, high = ratio_interval(*(np.array([value]) for value in (20, 50, 25, 40)))
    middle = math.log((20.5 / 50.5) / (25.5 / 40.5))
    half = 1.959963984540054 * math.sqrt(1 / 20.5 - 1 / 50.5 + 1 / 25.5 - 1 / 40.5)
    assert (low[0], high[0]) == pytest.approx((math.exp(middle - half), math.exp(middle + half)))


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 1)), min_size=1, max_size=40))
def test_each_family_is_judged_by_itself_as_statsmodels_does(pairs):
    family, p_values = (np.array(values) for values in zip(*pairs, strict=True))
    rates = discovery_rates(p_values, family)
    for one in set(family.tolist()):
        theirs = multipletests(p_values[family == one], method="fdr_bh")[1]
        assert rates[family == one].tolist() == pytest.approx(theirs.tolist())


def test_no_tests_are_no_discoveries():
    assert discovery_rates(np.array([]), np.array([], dtype=np.int64)).tolist() == []
