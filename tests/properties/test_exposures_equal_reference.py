"""The estimate of an exposure is that of the slow reference, which looks at one moment after the other."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from journeyflow.pains.exposures import BINS, DIGITS, exposures
from reference.exposures import Moment, estimate
from support.streams import MINUTE_US, Event, Person, place_of, stream_of

NAMES = ("payment_info", "payment_info", "chat", "error", "error", "purchase", "view", "mail")


class Given:
    """A prognosis that is given: three chances, so that many are equal, or as many as moments."""

    def __init__(self, stream, seed):
        rng = np.random.default_rng(seed)
        self.chances = rng.choice([0.2, 0.5, 0.7], len(stream)) if seed % 2 else rng.random(len(stream)).round(DIGITS)

    def chance(self, rows):
        return self.chances[rows]


def persons_of(seed, count):
    """Return persons with one or two journeys of a few random events, at few instants so that ties are common.

    Each event has a session of its own: a session says nothing of the order of its events.
    """
    rng = np.random.default_rng(seed)
    persons = []
    for _ in range(count):
        events, at = [Event(0, "payment_info")], 0
        for _ in range(rng.integers(0, 7)):
            at += int(rng.integers(0, 4))
            events.append(Event(at, NAMES[rng.integers(len(NAMES))], len(events)))
        if rng.random() < 0.2:
            events += [Event(at + 5000, "payment_info", 8, 1), Event(at + 5001, NAMES[rng.integers(len(NAMES))], 9, 1)]
        events.sort(key=lambda event: (event.at, event.name))
        persons.append(Person(events, ("new", "known")[rng.integers(2)]))
    return persons


def moments_of(persons, horizon, chance):
    """Return the moments of all stays at the stage of `payment_info`, by walking through each person's events."""
    moments = []
    for number, person in enumerate(persons):
        events = person.events
        is_here = has_met = False
        for index, event in enumerate(events):
            is_new_journey = index == 0 or events[index - 1].journey != event.journey
            if is_new_journey or event.name == "purchase":
                is_here = has_met = False
            if event.name == "payment_info":
                is_here = True
            if not is_here:
                continue
            has_met = has_met or event.name == "error"
            following = events[index + 1] if index + 1 < len(events) else None
            if following is not None and following.journey != event.journey:
                following = None
            after = [other.at - event.at for other in events[index + 1 :] if other.name == "purchase"]
            tied = [*(one.at == other.at for one, other in pairwise(events)), False]
            moments.append(
                Moment(
                    person=number, at=int(event.at), anchor=event.name,
                    gap=math.inf if following is None else following.at - event.at,
                    chance=chance[number, index], went_on=bool(after) and after[0] <= horizon,
                    is_met=following is not None and following.name == "error",
                    is_candidate=not has_met and not tied[index] and not (following is not None and tied[index + 1]),
                )
            )  # fmt: skip
    return moments


def edges_of(chances):
    return np.round(np.quantile(chances, np.linspace(0, 1, BINS + 1)[1:-1]), DIGITS).tolist()


@pytest.mark.parametrize("seed", range(30))
def test_it_is_the_reference_s(seed):
    count = 60 + 7 * seed
    persons = persons_of(seed, count)
    stream = stream_of(persons)
    place = place_of(stream, 3)
    prognosis = Given(stream, seed)
    found = {one.subject: one for one in exposures(stream, place, prognosis, 5)}.get("error")
    starts = np.cumsum([0, *(len(person.events) for person in persons)])
    chance = {
        (int(stream.person[row]), int(row - starts[stream.person[row]])): float(value)
        for row, value in zip(place.rows, prognosis.chance(place.rows), strict=True)
    }
    moments = moments_of(persons, place.horizon / MINUTE_US, chance)
    assert len(moments) == len(place.rows)
    expected = estimate(moments, edges_of)
    if found is None:
        assert expected is None or len(expected.persons) < 5 or expected.compared_count < 20
        return
    assert stream.person[found.rows].tolist() == expected.persons
    assert found.expected == pytest.approx(np.array(expected.expected))
    assert found.went_on.tolist() == expected.went_on
    assert found.compared_count == expected.compared_count
    assert found.standard_error == pytest.approx(expected.standard_error)
