"""Points that persons came to, the slices of them, and chances that add up."""

from __future__ import annotations

import numpy as np
import pytest

from journeyflow.pains.gaps import Point, points, recalibrated, slices
from journeyflow.pains.places import Prognosis
from support.streams import DAY_US, Event, Person, place_of, simulated, stream_of


def point_of(stream, stage=1, name=""):
    place = place_of(stream, stage)
    return next(one for one in points(stream, place, Prognosis(stream, place), 10) if one.name == name)


def slices_of(persons, min_count=10):
    stream = stream_of([*persons, Person([Event(0, "cart")])])
    rows = np.flatnonzero(stream.names.codes == stream.names.names.index("view"))
    nothing = np.zeros(len(rows), np.bool_)
    point = Point("", rows, np.arange(len(rows)), stream.day[rows], nothing, nothing.astype(float))
    return {one.text: one for one in slices(stream, point, min_count)}


def persons(count, **slices):
    persona = slices.pop("persona", "all of them")
    return [Person([Event(0, "view")], persona, slices=slices)] * count


def test_every_value_with_enough_entries_is_a_slice_and_everybody_too():
    found = slices_of(persons(30, device="mobile") + persons(20, device="desktop") + persons(9, device="tv"))
    assert {text: int(one.members.sum()) for text, one in found.items()} == {
        None: 59, "device=desktop": 20, "device=mobile": 30,
    }  # fmt: skip


def test_pairs_have_a_configured_slice_and_are_no_value_in_other_words():
    found = slices_of(
        [
            *persons(30, device="mobile", browser="Safari"), *persons(30, device="mobile", browser="Chrome"),
            *persons(30, device="desktop", browser="Chrome"),
        ]
    )  # fmt: skip
    # Safari is on mobile only, so "Safari on mobile" is Safari; likewise "Chrome on desktop" is desktop.
    assert {text for text in found if text and ", " in text} == {"browser=Chrome, device=mobile"}
    assert found["browser=Chrome, device=mobile"].dimensions == ("browser", "device")
    mixed = slices_of(
        [
            *persons(30, device="mobile", persona="a"), *persons(30, device="mobile", persona="b"),
            *persons(30, device="desktop", persona="a"), *persons(30, device="desktop", persona="b"),
        ]
    )  # fmt: skip
    assert {text for text in mixed if text and ", " in text} == {
        f"device={device}, persona={persona}" for device in ("mobile", "desktop") for persona in "ab"
    }


def test_persona_and_medium_alone_are_slices_but_no_pair():
    found = slices_of([Person([Event(0, "view")], persona, medium) for persona in "ab" for medium in ("x", "y")] * 20)
    assert set(found) == {None, "persona=a", "persona=b", "medium=x", "medium=y"}


@pytest.mark.parametrize(("unknown", "is_slice"), [(20, True), (21, False)])
def test_a_property_that_fewer_than_80_percent_have_yet_is_no_slice(unknown, is_slice):
    found = slices_of(persons(40, device="mobile") + persons(40, device="desktop") + persons(unknown))
    assert ("device=mobile" in found) == is_slice


def test_whose_value_is_not_known_is_no_member_and_not_compared():
    found = slices_of(persons(40, device="mobile") + persons(40, device="desktop") + persons(15))
    one = found["device=mobile"]
    assert (int(one.members.sum()), int(one.known.sum())) == (40, 80)
    assert "device=None" not in found


def test_points_are_the_entry_and_the_events_in_the_stage_each_once_a_visit():
    person = [Event(0, "view"), Event(1, "chat"), Event(2, "chat"), Event(3, "mail"), Event(4, "view")]
    stream = stream_of([Person([*person, Event(9, "cart")])] * 100 + [Person(person)] * 100)
    place = place_of(stream, 1)
    found = {one.name: one for one in points(stream, place, Prognosis(stream, place), 10)}
    assert set(found) == {"", "view", "chat"}
    assert {name: len(one.rows) for name, one in found.items()} == {"": 200, "view": 200, "chat": 200}
    assert (stream.at[found["chat"].rows] % DAY_US == 60_000_000).all()
    assert found["chat"].went_on.sum() == 100
    assert found["chat"].chance.sum() == pytest.approx(100)


def test_too_few_are_no_point():
    stream = stream_of([Person([Event(0, "view"), Event(1, "cart")])] * 149)
    place = place_of(stream, 1)
    assert list(points(stream, place, Prognosis(stream, place), 10)) == []


def test_open_windows_are_compared_at_the_age_at_which_most_have_gone_on():
    stream = simulated(1, 2000, days=30, window_days=30, last_day=29)
    place = place_of(stream, 1)
    assert place.is_settled.mean() < 1
    point = point_of(stream)
    # Nearly all go on within minutes, so all but those of the last hour are known.
    assert len(point.rows) > 1990
    assert point.went_on.mean() == pytest.approx(0.7, abs=0.03)


def test_chances_are_shifted_to_add_up_and_keep_their_order():
    chance = np.linspace(0.1, 0.9, 50)
    went_on = np.arange(50) % 5 == 0
    shifted = recalibrated(chance, went_on)
    assert shifted.sum() == pytest.approx(went_on.sum())
    assert (np.diff(shifted) > 0).all()
    odds = shifted / (1 - shifted) / (chance / (1 - chance))
    assert odds == pytest.approx(np.full(50, odds[0]))


def test_only_those_counted_are_made_to_add_up():
    chance, went_on = np.full(40, 0.5), np.arange(40) < 20
    counted = np.arange(40) >= 10
    assert recalibrated(chance, went_on, counted) == pytest.approx(np.full(40, 1 / 3))


def test_where_all_or_nobody_went_on_the_chance_stays_inside():
    for outcome in (True, False):
        shifted = recalibrated(np.full(30, 0.5), np.full(30, outcome))
        assert ((shifted > 0) & (shifted < 1)).all()
        assert shifted.mean() == pytest.approx(float(outcome), abs=0.001)
