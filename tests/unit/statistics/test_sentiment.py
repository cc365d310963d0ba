"""Mean sentiments and their intervals, against a library and by hand."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.weightstats import DescrStatsW

from journeyflow.statistics.sentiment import mean_interval

VALUES = st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.25, 1.0]), min_size=1, max_size=40)


@given(st.lists(VALUES, min_size=1, max_size=5))
def test_it_is_student_s_interval_cut_at_the_ends(groups):
    sums = [(len(group), sum(group), sum(value**2 for value in group)) for group in groups]
    counts, totals, squares = (np.array(column, dtype=float) for column in zip(*sums, strict=True))
    mean, low, high = mean_interval(counts, totals, squares)
    for at, group in enumerate(groups):
        assert math.isclose(mean[at], np.mean(group), abs_tol=1e-12)
        if len(group) == 1:
            assert math.isnan(low[at])
            assert math.isnan(high[at])
            continue
        wide = DescrStatsW(group).tconfint_mean(alpha=0.05)
        assert math.isclose(low[at], max(wide[0], -1.0), abs_tol=1e-7)
        assert math.isclose(high[at], min(wide[1], 1.0), abs_tol=1e-7)


def test_nobody_answered():
    empty = np.array([], dtype=float)
    assert [len(each) for each in mean_interval(empty.astype(int), empty, empty)] == [0, 0, 0]
