"""A finding's figures, and E-values against published examples."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, norm

from journeyflow.pains.places import Finding, e_value, odds_error


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [
        (3.9, 7.26),  # VanderWeele and Ding (2017): infant deaths and formula feeding
        (1.8, 3.0),  # the lower end of its interval
        (2.0, 3.41),
        (10.73, 20.95),  # Hammond and Horn's smoking and lung cancer, in the same paper
        (1.0, 1.0),
    ],
)
def test_published_examples(ratio, expected):
    assert e_value(0.05, 0.05 * ratio) == pytest.approx(expected, abs=0.01)


def test_where_more_went_on_there_is_nothing_to_explain():
    assert e_value(0.5, 0.4) == 1.0


def test_where_nobody_went_on_it_is_large_and_finite():
    assert e_value(0.0, 0.4) == 1e6


def finding(**changes):
    values = {
        "kind": "exposure", "model_index": 1, "stage_index": 2, "subject": "error", "slice": None,
        "rows": np.arange(50), "expected": np.full(50, 0.8), "went_on": np.arange(50) < 15, "compared_count": 150,
        "standard_error": 1 / 30.6, "effect": -2.2, "effect_error": 0.4,
    }  # fmt: skip
    return Finding(**values | changes)


def test_the_loss_of_the_example_of_the_decision():
    one = finding()
    assert one.lost == pytest.approx(25)
    assert one.lost_error == pytest.approx(np.sqrt(8 + 2.67), abs=0.01)
    assert one.lost_low == pytest.approx(25 - 1.96 * np.sqrt(8 + 2.67), abs=0.01)
    assert one.rates == pytest.approx((0.3, 0.8))


def test_a_grade_changes_nothing_else():
    one = finding()
    graded = one.graded("matched", 0.001, 3.0)
    assert (graded.grade, graded.q_value, graded.e_value, graded.lost) == ("matched", 0.001, 3.0, one.lost)
    assert one.grade == "association"


@pytest.mark.parametrize(("hits", "expected"), [(51, 0.96), (5, 0.3), (40, 0.5), (67, 0.96), (0, 0.2)])
def test_the_error_of_odds_is_that_of_the_likelihood(hits, expected):
    """The signed root of the deviance against a known chance, near enough to the exact chance of so few or fewer."""
    rate = (hits + 0.5) / (67 - hits + 0.5)
    effect = float(np.log(rate) - np.log(expected / (1 - expected)))
    ratio = effect / odds_error(effect, hits, 67, expected)
    if hits < 60:
        assert ratio == pytest.approx(norm.ppf(binom.cdf(hits, 67, expected)), abs=0.8)
    assert np.isfinite(ratio)
