"""A search on data that say too little finds nothing, and neither fails nor warns."""

import numpy as np
import polars as pl
import pytest

from journeyflow.pains.places import Prognosis, places
from journeyflow.pains.search import search
from journeyflow.pains.stream import DAY_US, Labels, Stream

pytestmark = pytest.mark.filterwarnings("error")
WINDOW = 30 * DAY_US
SEEN, LEFT_OUT, PAID = range(3)
LEVELS = np.array([2, 0, 5])
"""Level of each kind: the first stage, none, the second stage with the goal."""


def stream_of(*persons, high_water=200, browsers=None):
    """Return a stream of persons, each a list of (day, kind), one journey each."""
    person = np.repeat(np.arange(len(persons)), [len(events) for events in persons])
    at = np.array([day for events in persons for day, _ in events], np.int64) * DAY_US
    kind = np.array([kind for events in persons for _, kind in events], np.int64)
    first = np.flatnonzero(np.append(True, person[1:] != person[:-1])[: len(person)])
    codes = np.array(browsers if browsers is not None else np.zeros(len(person)), np.int32)
    return Stream(
        person=person,
        journey=person,
        at=at,
        session=np.arange(len(person)),
        kind=kind,
        slices={"browser": Labels(codes, (None, "a", "b"))},
        person_keys=np.arange(len(persons)).astype(np.uint64),
        journey_starts=np.append(first, len(person)),
        facts=pl.DataFrame(
            {"persona": ["all"] * len(persons), "month": ["2026-01"] * len(persons), "medium": [None] * len(persons)},
            schema={"persona": pl.String, "month": pl.String, "medium": pl.String},
        ),
        kinds=pl.DataFrame(
            {
                "event_name": ["seen", "other", "paid"],
                "channel": ["web"] * 3,
                "touchpoint": ["web: seen", "web: other", "web: paid"],
                "is_goal": [False, False, True],
                "frictions": pl.Series([None, "Bug", None], dtype=pl.String),
                "is_passive": [False] * 3,
            }
        ),
        high_water=high_water * DAY_US,
        window=WINDOW,
        day_starts=np.arange(400) * DAY_US,
        first_day=0,
    )


MANY = [[(day % 100, SEEN), *([(day % 100 + 1, PAID)] if day % 3 else [])] for day in range(900)]
CASES = {
    "one person": [[(1, SEEN)]],
    "one person who went on": [[(1, SEEN), (2, PAID)]],
    "nobody at a stage": [[(1, LEFT_OUT)], [(2, LEFT_OUT)]],
    "no next stage": [[(day, SEEN), (day, LEFT_OUT)] for day in range(300)],
    "no goal": [[(day, PAID)] for day in range(300)],
    "everybody went on": [[(day % 100, SEEN), (day % 100 + 1, PAID)] for day in range(900)],
    "one went on": [[(day % 100, SEEN)] for day in range(900)] + [[(50, SEEN), (51, PAID)]],
    "one day": [[(1, SEEN), *([(1, PAID)] if number % 2 else [])] for number in range(900)],
    "one person many times": [[(day, kind) for day in range(150) for kind in (SEEN, LEFT_OUT, PAID)]],
}


@pytest.mark.parametrize("min_count", [1, 30])
@pytest.mark.parametrize("persons", CASES.values(), ids=CASES.keys())
def test_data_that_say_too_little(persons, min_count):
    found = search(stream_of(*persons), 1, LEVELS, min_count)
    assert [one for one in found if one.grade != "association"] == []


@pytest.mark.parametrize("high_water", [101, 103, 110, 131])
def test_nothing_is_found_where_no_outcome_is_known(high_water):
    assert search(stream_of(*MANY, high_water=high_water), 1, LEVELS, 30) == []


def test_without_a_known_outcome_all_chances_are_alike():
    stream = stream_of(*MANY)
    place = next(places(stream, 1, LEVELS))
    prognosis = Prognosis(stream, place, fit_on=np.zeros(len(place.rows), np.bool_))
    assert set(prognosis.chance(place.rows)) == {0.5}
