"""What-if: the chain reproduces what was observed, closed forms, and what a change brings."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from journeyflow.errors import JourneyflowError
from journeyflow.report.analyses import Chain, what_if
from support.chains import chain_of

TINY = [(["a"], 2, 1), (["b"], 1, 0), (["a", "b"], 1, 0)]


def test_a_chain_that_can_be_checked_by_hand():
    chain, names = chain_of(TINY)
    assert chain.checked_rate() == chain.observed_rate == pytest.approx(0.8)
    # Of 4 who are at a one leaves. Half of that kept: 1/8 more go on, to convert or to b, from where all convert.
    gain, low, high = chain.gain(names["a"], 0.5)
    assert gain == pytest.approx(0.5)
    assert 0 < low < gain < high < 2.5
    assert chain.gain(names["a"], 0.5) == (gain, low, high)
    assert chain.gain(names["a"], 1)[0] == pytest.approx(1)
    assert chain.gain(names["b"], 0.5)[0] == 0


def test_who_is_kept_moves_on_as_those_who_went_on():
    # a -> b 3/5, exit 2/5; b converts in 2 of 3. Keeping a tenth at a: (3/5 + 4/100) * 2/3 of 5.
    chain, names = chain_of([(["a"], 0, 2), (["a", "b"], 2, 1)])
    assert chain.gain(names["a"], 0.1)[0] == pytest.approx(5 * (0.64 - 0.6) * 2 / 3)


def test_nothing_is_said_of_a_state_that_nobody_went_on_from():
    chain, names = chain_of([(["a"], 0, 2), (["b"], 2, 1)])
    assert chain.gain(names["a"], 0.1) is None


def test_going_back_and_forth_is_followed_to_its_end():
    chain, names = chain_of([(["a", "b", "a", "b"], 1, 0), (["a", "b", "a"], 0, 3), (["b"], 0, 1)])
    assert chain.checked_rate() == pytest.approx(0.2)
    # Closed form: a to b with p, b to a 4/6, converts 1/6, exits 1/6; entry to a 4/5. p is 5/8, then 5/8 + 3/8 * 0.2.

    def rate(p):
        return (0.2 + 0.8 * p) / 6 / (1 - p * 4 / 6)

    assert rate(5 / 8) == pytest.approx(0.2)
    assert chain.gain(names["a"], 0.2)[0] == pytest.approx(5 * (rate(0.7) - 0.2))


def test_a_chain_that_does_not_add_up_is_refused():
    chain = Chain(np.array([[0, 5, 0, 0], [0, 0, 1, 2]], dtype=float))
    with pytest.raises(JourneyflowError, match="please report this"):
        chain.checked_rate()


def test_the_interval_holds_the_truth_in_most_samples():
    chance, held = np.random.default_rng(3), 0
    truth = 0.3 * 0.5 * 0.2
    for _ in range(100):
        went = chance.binomial(400, 0.7)
        converted = chance.binomial(went, 0.2)
        rows = [[0, 400, 0, 0, 0], [0, 0, went, 0, 400 - went], [0, 0, 0, converted, went - converted]]
        chain = Chain(np.array(rows, float))
        _, low, high = chain.gain(1, 0.5)
        held += low <= 400 * truth <= high
    assert held >= 88


class Marts:
    """A generation with the rows of one chain."""

    def __init__(self, rows, goal=3):
        self.rows, self.goal = rows, goal

    def sql(self, query, _):
        if "map_stages" in query:
            return pl.DataFrame({"goal": [self.goal]}, schema={"goal": pl.Int32})
        names = {"from_stage": pl.String, "to_stage": pl.String, "from_index": pl.Int32, "to_index": pl.Int32}
        return pl.DataFrame(self.rows, schema=names | {"journey_count": pl.Int64}, orient="row")


ROWS = [
    ("entry", "open", 0, -1, 7), ("entry", "look", 0, 1, 10), ("look", "exit", 1, 0, 4), ("look", "cart", 1, 2, 6),
    ("cart", "exit", 2, 0, 3), ("cart", "buy", 2, 3, 3),
]  # fmt: skip


def test_each_stage_with_its_gain_the_greatest_first_and_open_journeys_apart():
    found = what_if(Marts(ROWS), "shop", "all", 0.1).to_dicts()
    assert [(row["stage"], row["exit_count"], row["open_count"]) for row in found] == [("cart", 3, 7), ("look", 4, 7)]
    assert found[0]["gain_count"] == pytest.approx(0.3)
    assert found[1]["gain_count"] == pytest.approx(0.2)
    assert found[0]["changed_rate"] == pytest.approx(0.33)


def test_nothing_is_gained_where_nobody_converts_or_nothing_has_ended():
    rows = [
        ("entry", "look", 0, 1, 10),
        ("look", "cart", 1, 2, 6),
        ("look", "exit", 1, 0, 4),
        ("cart", "exit", 2, 0, 6),
    ]
    assert what_if(Marts(rows), "shop", "all", 0.1)["gain_count"].to_list() == [0]
    assert what_if(Marts(ROWS[:1]), "shop", "all", 0.1).is_empty()
    assert what_if(Marts([], None), "shop", "all", 0.1).is_empty()
