"""The interval of a difference of rates, against the paper and a library."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import confint_proportions_2indep

from journeyflow.statistics.proportions import newcombe_interval

RATES = st.integers(1, 60).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total)))


def interval(count, total, other, other_total):
    low, high = newcombe_interval(*(np.array([value]) for value in (count, total, other, other_total)))
    return low[0], high[0]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((56, 70, 48, 80), (0.0524, 0.3339)),
        ((9, 10, 3, 10), (0.1705, 0.8090)),
        ((5, 56, 0, 29), (-0.0381, 0.1926)),
        ((10, 10, 0, 10), (0.6075, 1.0)),
    ],
)
def test_the_examples_of_the_paper(given, expected):
    assert interval(*given) == pytest.approx(expected, abs=5e-5)


@given(RATES, RATES)
def test_it_is_the_library_s(first, second):
    low, high = interval(*first, *second)
    expected = confint_proportions_2indep(*first, *second, method="newcomb", compare="diff")
    assert (low, high) == pytest.approx(expected, abs=1e-9)
    assert -1 <= low <= first[0] / first[1] - second[0] / second[1] + 1e-12 <= high + 2e-12


def test_nobody_has_no_interval():
    assert all(math.isnan(end) for end in interval(0, 0, 1, 2))
    assert all(math.isnan(end) for end in interval(1, 2, 0, 0))
