"""Published decompositions: Das Gupta's tables, and a funnel of revenue whose published figures depend on an order."""

from __future__ import annotations

import json

import numpy as np
import pytest

from journeyflow.analyses.rate_changes import symmetric_effects
from support.orders import mean_over_orders


def read(external_data, name):
    return json.loads((external_data / "truths" / name).read_text(encoding="utf-8"))


def sides(case):
    """Return the values of both populations, in their order: one row of each factor."""
    return [np.array(list(factors.values()), float) for factors in case["populations"].values()]


@pytest.mark.parametrize(
    "name", ["two_factors_product", "four_factors_product_like_a_four_step_funnel", "five_factors_product"]
)
def test_products_of_two_to_five_factors(external_data, name):
    case = read(external_data, "dasgupta/cases.json")[name]
    old, new = sides(case)
    expected = case["expected"]
    # Printed to the last digit or two of figures that were rounded on the way.
    close = {"rel": 1e-6, "abs": 1e-3 if name == "two_factors_product" else 1e-6}
    assert symmetric_effects(old, new) == pytest.approx(list(expected["effects"].values()), **close)
    assert symmetric_effects(old, new).sum() == pytest.approx(new.prod() - old.prod(), rel=1e-12)


def test_shares_of_segments_times_the_rates_of_two_steps(external_data):
    case = read(external_data, "dasgupta/cases.json")["segments_share_times_two_step_rates"]
    effects = symmetric_effects(*(side.T for side in sides(case))).sum(axis=0)
    assert effects == pytest.approx(list(case["expected"]["effects"].values()), abs=1e-6)


@pytest.mark.parametrize(
    ("name", "expected"), [("mix_and_rate_13_segments", "effects"), ("two_crossed_dimensions", "collapsed_effects")]
)
def test_mix_and_rate_of_segments(external_data, name, expected):
    """Of two crossed dimensions the mix of both together: its parts are Das Gupta's own division of the mix."""
    case = read(external_data, "dasgupta/cases.json")[name]
    old, new = (np.stack((size / size.sum(), rate), axis=1) for size, rate in sides(case))
    effects = symmetric_effects(old, new)
    assert effects.sum(axis=0) == pytest.approx(list(case["expected"][expected].values()), abs=1e-4)
    centred = effects[:, 0] - (new - old)[:, 0] * (old.prod(axis=1).sum() + new.prod(axis=1).sum()) / 2
    assert centred.sum() == pytest.approx(effects[:, 0].sum(), abs=1e-9), "counting from the mean keeps the sum"


def test_a_rate_that_is_no_product(external_data):
    """No funnel's rate is a ratio of sums. The case judges the slow rule that judges the product's function."""
    case = read(external_data, "dasgupta/cases.json")["ratio_rate_not_a_product"]

    def rate(factors):
        share, married, wed, single = factors
        within, outside = (share * married * wed).sum(), (share * (1 - married) * single).sum()
        return within / (within + outside)

    effects = mean_over_orders(rate, *sides(case))
    assert effects == pytest.approx(list(case["expected"]["effects"].values()), abs=1e-7)


def test_the_revenue_funnel_is_split_without_an_order(external_data):
    """The published figures of group A, 24,500 and 25,000, depend on the order of the factors; both splits add up."""
    case = read(external_data, "icanexplain_funnel/case.json")
    counts = {(month, group): row for month, group, *row in case["rows"]}
    total = 0.0
    for month, by_group in case["symmetric_contributions_computed"].items():
        for group, expected in by_group.items():
            old, new = (
                np.array([row[0], row[1] / row[0], row[2] / row[1], row[3] / row[2]])
                for row in (counts[f"{year}-{month}", group] for year in (2018, 2019))
            )
            effects = symmetric_effects(old, new)
            total += effects.sum()
            assert effects == pytest.approx(expected, abs=1e-4)
            if (month, group) == ("02", "A"):
                assert effects == pytest.approx([36_750, 0, 0, 12_750], abs=1e-8)
                assert case["published_contributions"][month][group] == [24_500, 0, 0, 25_000]
    assert total == pytest.approx(case["published_total"], abs=1e-8)
