"""Gaps: a slice that falls short at one stage; another kind of person, a person's label, and late values are none."""

from __future__ import annotations

import numpy as np
import pytest

from journeyflow.pains.gaps import gaps, shortfall
from journeyflow.pains.places import NORMAL
from journeyflow.pains.search import search
from support.streams import Event, Person, levels_of, place_of, simulated, stream_of

USUAL = (0.7, 0.75, 0.8)


def falls_short(*stages, device="tablet", by=0.3):
    return lambda stage, who: USUAL[stage - 1] - (by if stage in stages and who.device == device else 0)


def listed(stream, kind="gap"):
    return [one for one in search(stream, 1, levels_of(), 20) if one.kind == kind]


@pytest.mark.parametrize("seed", range(3))
def test_a_planted_gap_is_found_with_its_loss(seed):
    [one] = listed(simulated(seed, 4000, falls_short(2)))
    assert (one.grade, one.stage_index, one.slice) == ("matched", 2, "device=tablet")
    assert one.lost_low <= 0.3 * len(one.rows) <= one.lost + NORMAL * one.lost_error
    assert one.rates == pytest.approx((0.45, 0.75), abs=0.06)


def test_a_slice_that_falls_short_at_all_stages_is_another_kind_of_person():
    stream = simulated(1, 4000, falls_short(1, 2, 3))
    assert {(one.stage_index) for one in listed(stream)} <= {1}, "at the first stage it cannot be told"
    place, before = place_of(stream, 2), place_of(stream, 1)
    [one] = gaps(stream, place, [before], {}, 20, np.zeros(len(place.rows), bool))
    assert one.slice == "device=tablet"
    assert one.shift == pytest.approx(np.log(0.4 / 0.6) - np.log(0.7 / 0.3), abs=0.3)


def test_of_several_other_stages_the_precise_ones_say_who_is_another_kind_of_person():
    """The worst of several is often that at which the fewest came."""
    stream = simulated(1, 4000, falls_short(3))
    first, second, place = (place_of(stream, stage) for stage in (1, 2, 3))
    [both] = (one for one in gaps(stream, place, [first, second], {}, 20, np.zeros(len(place.rows), bool))
              if one.slice == "device=tablet")  # fmt: skip
    [alone] = (one for one in gaps(stream, place, [second], {}, 20, np.zeros(len(place.rows), bool))
               if one.slice == "device=tablet")  # fmt: skip
    assert abs(both.shift) < 0.15
    assert both.shift_error < alone.shift_error < 0.3


def test_what_a_pair_is_expected_to_do_is_as_unsure_as_what_its_values_do_with_others():
    """Half of the phones and half of the visitors with a plan are in the pair: the others with each value are few."""
    rng = np.random.default_rng(3)
    listed_pairs = 0
    for _ in range(12):
        persons = []
        for number in range(1200):
            is_phone, has_plan = number % 10 == 0, number % 20 == 0 or number % 10 == 5
            slices = {"device": "phone" if is_phone else "desktop", "plan": "plus" if has_plan else "basic"}
            at = float(rng.uniform(0, 60 * 1440))
            done = [Event(at + 5, "cart", slices=slices)] if rng.random() < 0.93 else []
            persons.append(Person([Event(at, "view", slices=slices), *done]))
        listed_pairs += len(listed(stream_of(persons)))
    assert listed_pairs <= 1


@pytest.mark.parametrize(("later", "is_gap"), [(0.2, False), (-0.2, True)])
def test_a_gap_holds_in_both_halves_of_the_time(later, is_gap):
    def chance(stage, who):
        shift = (-0.5 if who.day < 30 else later) if stage == 2 and who.device == "tablet" else 0
        return USUAL[stage - 1] + shift

    stream = simulated(2, 4000, chance)
    place, before = place_of(stream, 2), place_of(stream, 1)
    found = gaps(stream, place, [before], {}, 20, np.zeros(len(place.rows), np.bool_))
    assert ("device=tablet" in {one.slice for one in found}) == is_gap


def test_a_persona_alone_is_never_graded():
    stream = simulated(3, 4000, lambda stage, who: 0.4 if stage == 2 and who.persona == "new" else USUAL[stage - 1])
    assert listed(stream) == []


def test_a_value_that_is_known_late_is_not_compared():
    """Who pays by card says so in the cart only: those it is known of before have been there, and need nothing more."""
    rng = np.random.default_rng(4)
    persons = []
    for number in range(3000):
        start = number // 50 * 1440
        if number % 3 == 0:
            loyal = [Event(start, "view"), *([Event(start + 2, "cart")] if rng.random() < 0.7 else [])]
            persons.append(Person(loyal, slices={"method": "invoice"}))
            continue
        events = [Event(start, "view")]
        if rng.random() < 0.5:
            events += [Event(start + 2, "cart", slices={"method": "card"}), Event(start + 9, "view")]
            events += [Event(start + 12, "cart")] if rng.random() < 0.2 else []
        persons.append(Person(events))
    stream = stream_of(persons)
    place = place_of(stream, 1)
    known = stream.slices["method"].codes[place.rows] > 0
    assert 0.3 < known.mean() < 0.8
    assert listed(stream) == []


def test_who_has_no_value_is_in_neither_group():
    """One in ten has no known device and never goes on: no reason to call the others better or worse."""
    rng = np.random.default_rng(5)
    persons = []
    for number in range(3000):
        device = (None, "mobile", "desktop")[(number % 10 > 0) * (1 + number % 2)]
        start = number // 50 * 1440
        goes = device is not None and rng.random() < 0.6
        slices = {} if device is None else {"device": device}
        persons.append(Person([Event(start, "view"), *([Event(start + 5, "cart")] if goes else [])], slices=slices))
    assert listed(stream_of(persons)) == []


def test_a_shortfall_in_log_odds_and_standard_errors():
    members = np.arange(100) < 50
    shift, score = shortfall(members, np.arange(100) < 15, np.full(100, 0.5))
    assert shift == pytest.approx(-10 / 12.5)
    assert score == pytest.approx(-10 / np.sqrt(12.5))
