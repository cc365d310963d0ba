"""What each method credits, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from journeyflow.analyses.attribution import (
    Chain,
    Goal,
    Group,
    Subpaths,
    apportion,
    channels_of,
    path_shares,
    removal_effects,
)


def floats(*values):
    return np.array(values, np.float64)


@pytest.mark.parametrize(
    ("method", "code", "expected"),
    [
        ("first", "ABAC", [0, 1, 0, 0]),
        ("last_non_direct", "ABAC", [0, 0, 0, 1]),
        ("linear", "ABAC", [0, 0.5, 0.25, 0.25]),
        ("position", "ABAC", [0, 0.5, 0.1, 0.4]),
        ("position", "AB", [0, 0.5, 0.5, 0]),
        ("position", "A", [0, 1, 0, 0]),
        ("shapley_on_counts", "ABAC", [0, 1 / 3, 1 / 3, 1 / 3]),
        ("linear", "@", [1, 0, 0, 0]),
    ],
)
def test_shares_of_a_path(method, code, expected):
    shares = path_shares(method, channels_of([code, "ABCAB"]), 3)
    assert shares[0].tolist() == pytest.approx(expected)


def test_a_channel_without_which_nobody_converts_has_the_whole_effect():
    """Two of three come by A and half of these convert; who comes by B goes on to A or leaves."""
    chain = Chain(channels_of(["A", "BA", "B"]), 2)
    chance, effects = removal_effects(chain.counts(floats(1, 1, 0), floats(1, 0, 1)))
    assert chance == pytest.approx(0.5)
    assert effects == pytest.approx([1.0, 1 / 3])


def test_nothing_converts_and_no_path_at_all():
    chain = Chain(channels_of(["A"]), 2)
    for ended in (3.0, 0.0):
        chance, effects = removal_effects(chain.counts(floats(0), floats(ended)))
        assert (chance, effects.tolist()) == (0, [0, 0])


def test_leave_one_out():
    """AB reaches 1/2 where A reaches 1/4 and B 1/2: only A gains, and what never occurred has none."""
    channels = channels_of(["@", "A", "AB", "B", "CB"])
    converted, ended = floats(2, 1, 1, 1, 0), floats(0, 3, 1, 1, 0)
    shares = Subpaths(channels, 3).shares(converted, ended)
    assert shares.tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 0], [0, 0, 0.5, 0.5]]
    assert Subpaths(channels, 3).shares(converted, ended, np.array([2])).tolist() == [[0, 0, 1, 0]]


def test_without_a_touch_its_neighbours_are_one():
    """ABA without B is A, which always converts: so B gains nothing, and each A gains all."""
    channels = channels_of(["A", "ABA"])
    shares = Subpaths(channels, 2).shares(floats(4, 1), floats(0, 0))
    assert shares[1].tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("shares", "total", "expected"),
    [
        ([0.5, 0.5, 0.0], 1, [1, 0, 0]),
        ([2.7, 0.2, 0.1], 3, [3, 0, 0]),
        ([-1.5, 3.5], 2, [-1, 3]),
        ([1.0, 1.0], 100, [50, 50]),
        ([0.0, 0.0], 0, [0, 0]),
    ],
)
def test_rounded_shares_sum_to_the_total(shares, total, expected):
    assert apportion(np.array(shares), total) == expected


def test_intervals_are_wider_where_the_goals_are_of_fewer_persons():
    goal = Goal(channels_of(["@", "A", "AB", "B"]), 2, 0)
    counts = floats(0, 40, 40, 40)
    widths = []
    for spread in (counts, counts * 4):
        group = Group("all", "all", counts, counts * 0, counts, counts * 0, spread, counts, counts * 0)
        widths.append({credit.method: np.sqrt(credit.variance) for credit in goal.credits(group, with_intervals=True)})
    assert widths[0]["first"][1] == pytest.approx(80**0.5)
    for method, width in widths[0].items():
        assert widths[1][method][1] / width[1] == pytest.approx(2, rel=0.35), method
