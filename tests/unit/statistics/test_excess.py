"""Ratios and discoveries against libraries."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from journeyflow.statistics.proportions import discovery_rates, ratio_interval


@settings(deadline=None)
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
