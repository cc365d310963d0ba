"""The tests of proportions against slow ones in plain Python, and against libraries."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.stats import fisher_exact
from statsmodels.stats.contingency_tables import StratifiedTable

from journeyflow.statistics.proportions import Strata, conditional_tails
from support.examples import examples


@st.composite
def tables(draw, most=25):
    """Draw (exposed, hits, base, base hits)."""
    exposed, base = draw(st.integers(0, most)), draw(st.integers(0, most))
    return exposed, draw(st.integers(0, exposed)), base, draw(st.integers(0, base))


def strata(tests):
    """Number the tests and lay their strata side by side."""
    rows = [(number, *table) for number, test in enumerate(tests) for table in test]
    return Strata(*(np.array(values, dtype=np.int64) for values in zip(*rows, strict=True)))


def hits_of(table):
    """Return the exact chances of each number of hits among the exposed, given the margins."""
    exposed, hits, base, base_hits = table
    marked = hits + base_hits
    ways = {
        count: math.comb(marked, count) * math.comb(exposed + base - marked, exposed - count)
        for count in range(max(0, marked - base), min(exposed, marked) + 1)
    }
    return {count: Fraction(way, sum(ways.values())) for count, way in ways.items()}


def slow_tails(test):
    """Return (excess, two-sided) by summing fractions over every outcome of every stratum."""
    chances = {0: Fraction(1)}
    for table in test:
        further = {}
        for before, chance in chances.items():
            for count, own in hits_of(table).items():
                further[before + count] = further.get(before + count, 0) + chance * own
        chances = further
    seen = sum(table[1] for table in test)
    excess = sum(chance for count, chance in chances.items() if count >= seen)
    return float(excess), float(sum(chance for chance in chances.values() if chance <= chances[seen]))


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(st.lists(tables(), min_size=1, max_size=4), min_size=1, max_size=6))
@example([[(25, 25, 25, 0)], [(25, 0, 25, 25), (3, 3, 0, 0)], [(0, 0, 0, 0)]])
@example([[(10, 0, 10, 10), (10, 0, 10, 10)]])  # A tie of the two most extreme outcomes, each of 3 in 10^11.
@example([[(12, 0, 12, 12), (11, 0, 11, 11)]])
def test_it_is_the_sum_over_every_outcome(tests):
    excess, two_sided = conditional_tails(strata(tests))
    for number, test in enumerate(tests):
        slow = slow_tails(test)
        assert (excess[number], two_sided[number]) == pytest.approx(slow, rel=1e-6, abs=1e-14)


@pytest.mark.parametrize("size", range(4, 15))
@pytest.mark.parametrize("count", [2, 3])
def test_of_a_tie_both_outcomes_count_however_improbable_they_are(size, count):
    """Both ends of a symmetric distribution; below 1e-14 a chance is known only to be that small."""
    tails = conditional_tails(strata([[(size, 0, size, size)] * count, [(size, size, size, 0)] * count]))
    exact = 2 * float(Fraction(1, math.comb(2 * size, size)) ** count)
    assert tails.two_sided == pytest.approx([exact, exact], rel=1e-6, abs=1e-14)


def test_one_stratum_is_fisher_s_test():
    draw = np.random.default_rng(3)
    exposed, base = draw.integers(30, 900, 200), draw.integers(30, 900, 200)
    hits, base_hits = draw.binomial(exposed, 0.2), draw.binomial(base, 0.25)
    excess, two_sided = conditional_tails(Strata(np.arange(200), exposed, hits, base, base_hits))
    for i in range(200):
        table = [[hits[i], exposed[i] - hits[i]], [base_hits[i], base[i] - base_hits[i]]]
        assert excess[i] == pytest.approx(fisher_exact(table, alternative="greater").pvalue, rel=1e-8)
        assert two_sided[i] == pytest.approx(fisher_exact(table).pvalue, rel=1e-6)


def test_many_people_are_tested_as_cochran_mantel_and_haenszel_do():
    test = [(9_000, 2_900, 20_000, 6_200), (7_000, 1_100, 9_000, 1_300)]
    two_sided = conditional_tails(strata([test])).two_sided[0]
    their = [np.array([[a, n - a], [c, m - c]]) for n, a, m, c in test]
    assert two_sided == pytest.approx(StratifiedTable(their).test_null_odds(correction=True).pvalue, rel=1e-9)


def test_the_normal_curve_takes_over_without_a_step():
    below, above = [(3_700, 1_150, 3_700, 1_070)], [(3_900, 1_212, 3_900, 1_128)]
    excess = conditional_tails(strata([below, above])).excess
    for value, table in zip(excess, (below, above), strict=True):
        ((n, a, m, c),) = table
        exact = fisher_exact([[a, n - a], [c, m - c]], alternative="greater").pvalue
        assert value == pytest.approx(exact, rel=0.01)


@settings(deadline=None)
@given(st.lists(tables(), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_the_order_of_strata_and_empty_ones_change_nothing(test, random):
    shuffled = random.sample(test, len(test))
    one, other, padded = conditional_tails(strata([test, shuffled, [*test, (5, 2, 0, 0)]])).excess
    assert one == pytest.approx(other, rel=1e-9, abs=1e-14)
    assert one == pytest.approx(padded, rel=1e-9, abs=1e-14)


def test_the_chance_of_a_p_value_is_at_most_the_p_value():
    """Over all ways in which outcomes may fall on people, p <= x happens at most x of the time."""
    first, second = [(6, 0, 9, 5)], [(4, 0, 7, 3)]
    margins = [(6, 5, 9), (4, 3, 7)]
    outcomes = [[(n, a, m, k - a) for a in range(max(0, k - m), min(n, k) + 1)] for n, k, m in margins]
    tests = [[one, other] for one in outcomes[0] for other in outcomes[1]]
    chances = [float(hits_of(one)[one[1]] * hits_of(other)[other[1]]) for one, other in tests]
    excess = conditional_tails(strata(tests)).excess
    assert sum(chances) == pytest.approx(1.0)
    for level in (0.01, 0.05, 0.2, 0.5):
        assert sum(chance for chance, value in zip(chances, excess, strict=True) if value <= level) <= level + 1e-12
    assert slow_tails([first[0], second[0]])[0] == pytest.approx(1.0)


def test_nothing_to_test():
    empty = np.array([], dtype=np.int64)
    assert [len(values) for values in conditional_tails(Strata(empty, empty, empty, empty, empty))] == [0, 0]


def test_a_p_value_is_of_its_test_alone_to_the_last_digit():
    """Subjects are numbered as they come: the order of tests differs from a renewed build to one made anew."""
    rng = np.random.default_rng(1)
    shape = (1000, 4)
    exposed, base = rng.integers(20, 120, shape), rng.integers(50, 400, shape)
    counts = (exposed, rng.binomial(exposed, 0.4), base, rng.binomial(base, 0.35))
    test = np.repeat(np.arange(shape[0]), shape[1])
    order = rng.permutation(shape[0])
    tails = conditional_tails(Strata(test, *(each.ravel() for each in counts)))
    shuffled = conditional_tails(Strata(test, *(each[order].ravel() for each in counts)))
    assert all((mine[order] == theirs).all() for mine, theirs in zip(tails, shuffled, strict=True))
