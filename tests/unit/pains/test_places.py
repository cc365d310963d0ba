"""Places: who is at a stage, until when, and whether it went on."""

from __future__ import annotations

import numpy as np
import pytest

from journeyflow.pains.places import NEVER, places
from support.streams import DAY_US, HOUR_US, MINUTE_US, SHOP, Event, Kind, Person, levels_of, place_of, stream_of

VIEW, CART, PAY, BUY = "view", "cart", "payment_info", "purchase"


def place(stage, *persons, window_days=30, last_day=None):
    of_persons = [Person([Event(*event) if isinstance(event, tuple) else event for event in one]) for one in persons]
    return place_of(stream_of(of_persons, window_days=window_days, last_day=last_day), stage)


def test_a_person_is_at_a_stage_from_its_first_event_there_until_an_event_beyond():
    found = place(2, [(0, VIEW), (1, CART), (2, "chat"), (3, VIEW), (4, PAY), (5, "chat")])
    assert found.rows.tolist() == [1, 2, 3]
    assert (found.beyond_us // MINUTE_US).tolist() == [3, 2, 1]
    assert found.visit.tolist() == [0, 0, 0]
    assert found.is_first.all()


def test_an_event_without_a_stage_before_the_first_is_nowhere():
    assert place(1, [(0, "chat"), (1, VIEW), (2, CART)]).rows.tolist() == [1]


def test_the_goal_of_a_stage_is_beyond_it():
    found = place(3, [(0, PAY), (1, BUY), (2, "chat")], [(0, PAY), (1, "chat")])
    assert found.rows.tolist() == [0, 3, 4]
    assert found.beyond_us.tolist() == [MINUTE_US, NEVER, NEVER]


def test_the_last_stage_is_no_place_of_loss_and_a_skipped_one_is_passed():
    stream = stream_of([Person([Event(0, VIEW), Event(1, PAY), Event(2, "ship")])])
    assert [found.stage_index for found in places(stream, 1, levels_of())] == [1, 3]


def test_who_comes_back_is_there_again_on_another_visit():
    found = place(1, [(0, VIEW), (1, CART), (60, VIEW), (61, VIEW), (70, CART), (80, VIEW)])
    assert found.rows.tolist() == [0, 2, 3, 5]
    assert found.visit.tolist() == [0, 1, 1, 2]
    assert found.is_first.tolist() == [True, False, False, False]
    assert (found.beyond_us[:3] // MINUTE_US).tolist() == [1, 10, 9]
    assert found.beyond_us[3] == NEVER


def contacts(event, *, before, after):
    """Return at which rows of carts the stage holds them, where some meet a contact before a goal and some after."""
    kinds = dict(SHOP) | {event: Kind(4, channel="chat")}
    early = [Event(0, CART), Event(1, event), Event(2, CART)]
    late = [Event(0, CART), Event(1, BUY), Event(2, event)]
    stream = stream_of([Person(early)] * before + [Person(late)] * after, kinds)
    found = next(each for each in places(stream, 1, levels_of(kinds)) if each.stage_index == 2)
    return found.rows[: 3 * before].tolist(), found.beyond_us[: 3 * before].tolist()


def test_a_contact_before_the_goal_is_not_beyond_it():
    assert contacts("support_chat", before=2, after=1) == ([0, 1, 2, 3, 4, 5], [NEVER] * 6)


def test_a_contact_is_beyond_the_goal_that_its_journey_has_reached():
    kinds = dict(SHOP) | {"support_chat": Kind(4, channel="chat")}
    bought = [Event(0, CART), Event(1, BUY), Event(2, "support_chat")]
    again = [Event(4000, CART, journey=1), Event(4001, "support_chat", journey=1)]
    found = places(stream_of([Person([*bought, *again])], kinds), 1, levels_of(kinds))
    cart, *_ = (each for each in found if each.stage_index == 2)
    assert cart.rows.tolist() == [0, 3, 4]
    assert cart.is_aside.tolist() == [False, False, True]


@pytest.mark.parametrize(("before", "after", "is_cause"), [(2, 1, True), (1, 1, False)])
def test_a_contact_that_mostly_follows_goals_is_about_one_older_than_the_data(before, after, is_cause):
    kinds = dict(SHOP) | {"support_chat": Kind(4, channel="chat")}
    early, late = [Event(0, CART), Event(1, "support_chat")], [Event(0, CART), Event(1, BUY), Event(2, "support_chat")]
    stream = stream_of([Person(early)] * before + [Person(late)] * after, kinds)
    cart = next(each for each in places(stream, 1, levels_of(kinds)) if each.stage_index == 2)
    assert cart.is_aside[1] != is_cause


def test_an_answer_before_the_goal_is_neither_beyond_it_nor_a_cause():
    assert contacts("csat_answer", before=2, after=1) == ([0, 1, 2, 3, 4, 5], [NEVER] * 6)


def test_what_presupposes_a_goal_is_beyond_it_though_none_was_seen():
    rows, beyond = contacts("delivered", before=2, after=1)
    assert (rows[:2], beyond[0]) == ([0, 2], MINUTE_US)


def test_going_on_in_a_later_journey_counts_and_in_another_person_does_not():
    later = [Event(0, VIEW), Event(3 * 1440, CART, session=1, journey=1)]
    found = place(1, later, [(0, VIEW)], [(0, CART)])
    assert found.beyond_us.tolist() == [3 * DAY_US, NEVER]


def test_a_journey_begins_without_what_the_one_before_reached():
    found = place(1, [Event(0, VIEW), Event(1, CART), Event(3 * 1440, VIEW, session=1, journey=1)])
    assert found.rows.tolist() == [0, 2]
    assert found.is_first.tolist() == [True, True]
    assert found.visit.tolist() == [0, 1]


def test_within_the_window_is_going_on_and_one_microsecond_more_is_not():
    long = [Event(90 * 1440, "chat", session=9, journey=9)]
    just = [Event(0, VIEW), Event(10 * 1440, CART, session=1)]
    late = [Event(0, VIEW), Event(10 * 1440 + 1e-6 / 60, CART, session=1)]
    found = place(1, just, late, long, window_days=10)
    assert found.horizon == 10 * DAY_US
    assert found.went_on.tolist() == [True, False]


def test_it_is_settled_once_the_horizon_is_over_at_the_high_water_mark():
    persons = [[(day * 1440, VIEW)] for day in range(30)]
    found = place(1, *persons, [(0, CART)], window_days=10, last_day=29)
    assert found.is_settled.tolist() == [day <= 20 for day in range(30)]


def test_in_a_short_history_the_horizon_is_the_time_in_which_nearly_all_go_on():
    persons = [[Event(0, VIEW), Event(60 * (1 + number % 2) * 24, CART, session=1)] for number in range(40)]
    assert place(1, *persons, window_days=30).horizon == 2 * DAY_US
    quick = [[(0, VIEW), (5, CART)]] * 20
    assert place(1, *quick, window_days=30).horizon == DAY_US


@pytest.mark.parametrize(("share", "is_shuffled"), [(0.1, False), (0.5, True)])
def test_where_the_order_within_sessions_means_nothing_a_session_beyond_went_on(share, is_shuffled):
    """In a shuffled file the goal seems to come before its own stage; a few real returns are no sign of that."""
    back = [[(0, BUY), (1, PAY)]] * round(100 * share)
    onward = [[(0, PAY), (1, BUY)]] * round(100 * (1 - share))
    found = place(3, *back, *onward)
    assert found.is_ordered is not is_shuffled
    of_back = found.rows < 2 * len(back)
    assert of_back.sum() == len(back)
    assert found.is_past[of_back].tolist() == [is_shuffled] * len(back)
    assert found.went_on[of_back].tolist() == [is_shuffled] * len(back)
    assert not found.is_past[~of_back].any()
    assert found.went_on[~of_back].all()


def test_offline_events_are_in_no_session_that_could_be_shuffled():
    found = place(3, *[[Event(0, BUY, session=None), Event(1, PAY, session=None)]] * 50, [(0, PAY), (1, BUY)])
    assert not found.is_past.any()


def test_a_stage_without_a_person_or_without_a_next_one_is_left_out():
    kinds = {name: kind for name, kind in SHOP.items() if name != "ship"} | {"rate": Kind(4), "never": Kind(5)}
    stream = stream_of([Person([Event(0, VIEW), Event(2 * HOUR_US / MINUTE_US, CART)])], kinds)
    assert [found.stage_index for found in places(stream, 1, levels_of(kinds))] == [1]
    assert list(places(stream, 1, np.zeros(len(kinds), np.int64))) == []
