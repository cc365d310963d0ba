"""Incidents: a planted one with its days; seasons, tracking gaps and lasting differences are none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from journeyflow.pains.gaps import Point, Slice
from journeyflow.pains.incidents import COMMON_SPREAD, Span, _likeliest, _Scan, _unseen_days, incidents, lost_days
from journeyflow.pains.places import NORMAL, places
from journeyflow.pains.search import LEVEL, SHARE, search
from support.streams import FIRST_DAY, SHOP, Event, Kind, Person, levels_of, place_of, simulated, stream_of

USUAL = (0.7, 0.75, 0.8)


def planted(low=0.2, first=20, last=27, stage=2, device="mobile", **others):
    """Return a chance that falls to `low` at a stage, in days and of a device (None: of all)."""

    def chance(at, who):
        inside = at == stage and first <= who.day <= last and device in (None, who.device)
        return low if inside else USUAL[at - 1]

    return simulated(others.pop("seed", 1), others.pop("count", 4000), chance, **others)


def listed(stream, kind=None):
    return [one for one in search(stream, 1, levels_of(), 20) if kind in (None, one.kind)]


def days(finding):
    return finding.first_day - FIRST_DAY, finding.last_day - FIRST_DAY


@pytest.mark.parametrize("seed", range(3))
def test_a_planted_incident_is_found_with_its_days_its_slice_and_its_loss(seed):
    stream = planted(seed=seed)
    [one] = listed(stream)
    assert (one.kind, one.grade, one.stage_index, one.subject, one.slice) == ("incident",) * 2 + (
        2,
        "",
        "device=mobile",
    )
    assert days(one) == (20, 27)
    names = stream.slices["device"].names
    is_hit = (stream.names.codes == stream.names.names.index("cart")) & (stream.day - FIRST_DAY >= 20)
    is_hit &= (stream.day - FIRST_DAY <= 27) & (stream.slices["device"].codes == names.index("mobile"))
    hit = len(np.unique(stream.person[is_hit]))
    assert len(one.rows) == hit
    assert one.lost_low <= (0.75 - 0.2) * hit <= one.lost + NORMAL * one.lost_error
    assert one.q_value <= LEVEL * SHARE["incident"]
    assert one.e_value > 1.3


def test_an_incident_of_everybody_has_no_slice():
    [one] = listed(planted(device=None, low=0.35))
    assert (one.kind, one.slice, one.stage_index) == ("incident", None, 2)
    assert days(one) == (20, 27)


def test_a_dip_of_all_slices_and_stages_is_a_season():
    def chance(stage, who):
        return USUAL[stage - 1] - (0.25 if 20 <= who.day <= 27 else 0)

    stream = simulated(2, 4000, chance)
    place = place_of(stream, 2)
    lost, first = lost_days(stream)
    spans, _ = incidents(stream, place, 20, lost, first, 0.015)
    assert [span.slice for span in spans] == [None], "the stage alone shows a break"
    assert listed(stream, "incident") == []


@pytest.mark.parametrize("seed", range(3))
def test_what_lasts_the_whole_time_is_no_incident(seed):
    stream = simulated(
        seed, 4000, lambda stage, who: 0.4 if stage == 2 and who.device == "mobile" else USUAL[stage - 1]
    )
    assert listed(stream, "incident") == []


def test_days_in_which_a_channel_lost_its_events_are_no_incident():
    """The purchases of two days are missing with all else of these days: who came before could not be seen to buy."""
    stream = simulated(3, 8000)
    # Persons of day 29 buy on day 30, whose events are lost.
    late = stream.names.codes == stream.names.names.index("purchase")
    late &= stream.day - FIRST_DAY == 29
    gone = (stream.day - FIRST_DAY == 30) | late
    kept = without(stream, gone)
    lost, first = lost_days(kept)
    web = kept.channels.names.index("web")
    assert np.flatnonzero(lost[web]).tolist() == [28, 29, 30]
    assert first == FIRST_DAY
    assert listed(kept, "incident") == []
    nothing_lost = np.zeros_like(lost)
    spans, _ = incidents(kept, place_of(kept, 3), 20, nothing_lost, first, 0.015)
    assert [days(span) for span in spans] == [(29, 29)], "without the mark it would be one"


def test_an_event_of_another_channel_in_such_days_shows_none_either():
    """Everybody chats the day after the first view and goes on from there on the web, of which days are missing."""
    kinds = dict(SHOP) | {"chat": Kind(channel="chat")}
    rng = np.random.default_rng(1)
    persons = []
    for day in np.repeat(np.arange(60), 60):
        at = (day + 1) * 1440 + int(rng.integers(600, 900))
        on = [Event(at + 5, "cart", session=1)] if rng.random() < 0.7 else []
        persons.append(Person([Event(at - 1440, "view"), Event(at, "chat", session=None), *on]))
    stream = stream_of(persons, kinds, window_days=7)
    web = stream.channels.codes == stream.channels.names.index("web")
    kept = without(stream, web & np.isin(stream.day - FIRST_DAY, (30, 31, 32)))
    lost, first = lost_days(kept)
    assert [lost[kept.channels.names.index(name), 31] for name in ("web", "chat")] == [True, False]
    place = next(each for each in places(kept, 1, levels_of(kinds)) if each.stage_index == 1)
    assert incidents(kept, place, 20, lost, first, 0.015)[0] == []
    spans, _ = incidents(kept, place, 20, np.zeros_like(lost), first, 0.015)
    assert {span.subject for span in spans} == {"chat"}, "without the mark it would be one"


def test_contacts_before_the_goal_are_not_what_leads_on():
    """The stage is left by orders of a store; calls without a goal are many, and their outage hides nobody's order."""
    kinds = dict(SHOP) | {
        "order": Kind(2, is_goal=True, channel="store"), "support_call": Kind(4, channel="call_centre")
    }  # fmt: skip
    persons = []
    for day in np.repeat(np.arange(40), 30):
        calls = [Event(day * 1440 + 600 + minute, "support_call", session=None) for minute in (1, 2, 3)]
        order = [Event(day * 1440 + 700, "order", session=None)] if len(persons) % 2 else []
        persons.append(Person([Event(day * 1440 + 600, "view"), *calls, *order]))
    stream = stream_of(persons, kinds, window_days=7)
    place = next(each for each in places(stream, 1, levels_of(kinds)) if each.stage_index == 1)
    lost = np.zeros((len(stream.channels.names), 60), np.bool_)
    lost[stream.channels.names.index("call_centre"), 20] = True
    assert not _unseen_days(stream, place, lost).any()
    lost[stream.channels.names.index("store"), 30] = True
    assert _unseen_days(stream, place, lost)[30]


def without(stream, gone):
    """Return the stream without some events; journeys that lose all are dropped too."""
    kept = np.flatnonzero(~gone)
    persons, person = np.unique(stream.person[kept], return_inverse=True)
    journeys, journey = np.unique(stream.journey[kept], return_inverse=True)
    return replace(
        stream,
        person=person, journey=journey, at=stream.at[kept], session=stream.session[kept], kind=stream.kind[kept],
        slices={name: replace(one, codes=one.codes[kept]) for name, one in stream.slices.items()},
        person_keys=stream.person_keys[persons],
        journey_starts=np.append(np.unique(journey, return_index=True)[1], len(kept)),
        facts=stream.facts[journeys],
    )  # fmt: skip


def test_a_quiet_channel_has_no_lost_days():
    stream = simulated(4, 120)
    assert not lost_days(stream)[0].any()


@pytest.mark.parametrize("length", [1, 2, 5, 11])
def test_lost_days_of_a_short_history(length):
    persons = [Person([Event(day * 1440 + one, "view")]) for day in range(length) if day != 5 for one in range(30)]
    lost, _ = lost_days(stream_of([*persons, Person([Event((length - 1) * 1440, "mail")])]))
    found = {int(day) for day in np.flatnonzero(lost.any(axis=0))}
    assert found == ({3, 4, 5} if length == 11 else set())


def test_an_incident_near_the_end_is_found_although_windows_are_open():
    stream = planted(first=52, last=59, days=60, window_days=20, last_day=59)
    place = place_of(stream, 2)
    assert not place.is_settled[stream.day[place.rows] - FIRST_DAY >= 52].any()
    [one] = listed(stream)
    assert (one.kind, one.slice) == ("incident", "device=mobile")
    assert days(one)[0] == 52
    assert days(one)[1] >= 58
    assert one.lost_low <= 0.55 * len(one.rows) <= one.lost + NORMAL * one.lost_error


def test_two_incidents_are_two_findings():
    def chance(stage, who):
        if stage == 2 and who.device == "mobile" and 10 <= who.day <= 15:
            return 0.15
        return 0.1 if stage == 3 and who.device == "desktop" and 40 <= who.day <= 47 else USUAL[stage - 1]

    found = listed(simulated(6, 5000, chance))
    assert {(one.slice, days(one)) for one in found} == {("device=mobile", (10, 15)), ("device=desktop", (40, 47))}


def test_a_loss_in_both_slices_of_a_stage_is_not_attributed_to_one():
    [one] = listed(planted(device=None, low=0.3, seed=9))
    assert one.slice is None


def common_spread(weeks, moved):
    """Return the spread of weeks with 100 persons of even chance each, in which by turns more and fewer went on."""
    counts = np.repeat(
        [[100.0, 50 + sign * moved, 50.0, 25.0] for sign in np.resize([1, -1], weeks)], 7, axis=0
    ).T / 7  # fmt: skip
    scan = object.__new__(_Scan)
    scan.days = 7 * weeks
    scan.total = np.cumsum(np.pad(counts, ((0, 0), (1, 0))), axis=1)
    return scan.common_spread(0, 0)


def test_weeks_that_move_together_widen_the_spread_and_few_of_them_less():
    assert common_spread(30, moved=0) == COMMON_SPREAD
    few, many = common_spread(6, moved=15), common_spread(60, moved=15)
    assert COMMON_SPREAD < few < many
    # 15 in 25 is 0.6 in log odds either way, of which 0.2 is chance.
    assert many == pytest.approx(np.sqrt(0.6**2 - 0.2**2), abs=0.04)


def test_each_test_costs():
    nothing = np.ones(1, np.bool_)
    point = Point("", np.array([0]), np.array([0]), np.array([0]), nothing, np.array([0.5]))
    span = Span(4.0, Slice(None, (), nothing, nothing), 1, 2, point, 0.0, tests=100.0)
    assert span.q_value(3) == pytest.approx(3.167e-5 * 300, rel=1e-3)


def test_the_end_of_a_span_is_the_day_that_stands_out_or_the_middle_of_the_likely_ones():
    days_of = np.arange(10, 15)
    assert _likeliest(days_of, np.array([0.0, 9.0, 0.0, 0.0, 0.0])) == 11
    assert _likeliest(days_of, np.zeros(5)) == 12
