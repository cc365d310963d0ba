"""A funnel that counts attempts costs in proportion to the events of its unit."""

from __future__ import annotations

import pytest

from support.growth import funnel, seconds

SIZE = 20_000
LOGS = {
    "plain": ("abc", 1, {}),
    "step never reached": ("ab", 1, {}),
    "deadline": ("abc", 1, {"within_us": [None, None, 10]}),
    "deadline missed": ("abxxxc", 1, {"within_us": [None, None, 1]}),
    "exclusion": ("abxc", 1, {"excluded": ((1, 3), False)}),
    "exclusion that voids": ("abxc", 1, {"excluded": ((1, 3), True)}),
    "exclusion at once": ("axbc", 1, {"excluded": ((1, 2), False)}),
    "exclusion never met": ("abc", 1, {"excluded": ((1, 3), False)}),
    "ties": ("abc", 3, {}),
    "ties that compete": ("aab", 2, {"steps": "aab"}),
    "one event for all steps": ("a", 2, {"steps": "aaa"}),
    "ties that do not convert": ("abc", 3, {"is_strictly_later": True}),
    "strict": ("abc", 1, {"order": "strict"}),
    "strict with ties": ("abcx", 2, {"order": "strict"}),
    "any order": ("abc", 1, {"order": "any_order"}),
    "any order, ties that do not convert": ("abc", 3, {"order": "any_order", "is_strictly_later": True}),
    "grace": ("acb", 1, {"grace_us": 5}),
}


@pytest.mark.parametrize("name", LOGS)
def test_twice_the_events_take_twice_the_time(name):
    log, per_instant, settings = LOGS[name]
    compiled = funnel(**settings)
    seconds(log, 60, compiled, per_instant)  # Loads the compiled code.
    once = min(seconds(log, SIZE, compiled, per_instant) for _ in range(2))
    # Eight times the events; a quadratic path would take sixty-four times as long.
    assert seconds(log, 8 * SIZE, compiled, per_instant) < 24 * max(once, 0.01)
