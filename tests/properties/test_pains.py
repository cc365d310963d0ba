"""The search for pain points: the order in which persons are numbered changes nothing."""

from __future__ import annotations

import random

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from journeyflow.pains.search import search
from support.streams import levels_of, shoppers, stream_of


def chance(stage, who):
    if stage == 2 and who.device == "mobile" and 20 <= who.day <= 27:
        return 0.2
    return (0.7, 0.5 if who.device == "tablet" else 0.75, 0.35 if who.met_error else 0.8)[stage - 1]


def listed(persons):
    return {
        (one.kind, one.stage_index, one.subject, one.slice, one.first_day, one.last_day, one.grade): (
            one.lost, one.lost_error, len(one.rows), one.compared_count, one.effect, one.q_value,
        )
        for one in search(stream_of(persons, window_days=7), 1, levels_of(), 20)
    }  # fmt: skip


# A failure is as plain with any order: shrinking would take minutes.
@settings(max_examples=6, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(st.integers(0, 50), st.integers(0, 2**32))
def test_the_order_of_persons_changes_nothing(seed, order):
    persons = shoppers(seed, 2500, chance)
    first = listed(persons)
    assert {key[0] for key in first} >= {"incident", "exposure"}
    random.Random(order).shuffle(persons)
    other = listed(persons)
    assert other.keys() == first.keys()
    for key, figures in first.items():
        assert other[key] == pytest.approx(figures, rel=1e-6), key
