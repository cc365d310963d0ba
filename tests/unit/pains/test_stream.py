"""The events as arrays: codes of texts, what was known of a person at an event, sessions so far, the order of ties."""

from __future__ import annotations

import random
import sys

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from journeyflow.engines import DuckDBEngine
from journeyflow.pains import stream as module
from journeyflow.pains.stream import Labels, _known_so_far, read_stream
from support.streams import DAY_US, Event, Person, stream_of


def test_texts_are_numbered_by_the_alphabet_and_none_is_0():
    labels = Labels.of(pl.Series(["b", None, "a", "b"]))
    assert labels.names == (None, "a", "b")
    assert labels.codes.tolist() == [2, 0, 1, 2]


def test_no_text_at_all_is_not_known():
    assert Labels.of(pl.Series([None, None], dtype=pl.String)).codes.tolist() == [0, 0]
    assert Labels.of(pl.Series([], dtype=pl.String)).names == (None,)


def test_time_to_the_next_goal_is_that_of_the_person_and_not_of_a_goal_itself():
    never = np.iinfo(np.int64).max
    stream = stream_of(
        [
            Person([Event(0, "view"), Event(2, "purchase"), Event(5, "ship"), Event(9, "purchase"), Event(10, "view")]),
            Person([Event(0, "view")]),
            Person([Event(3, "purchase"), Event(4, "ship", journey=1), Event(6, "purchase", journey=1)]),
        ]
    )
    minutes = [value if value == never else value // 60_000_000 for value in stream.to_goal_us.tolist()]
    assert minutes == [2, 7, 4, never, never, never, 3, 2, never]


def test_a_value_is_carried_to_later_events_of_the_person_and_never_back_or_to_another():
    values = Labels.of(pl.Series([None, "a", None, "b", None, None, "a"]))
    known = _known_so_far(values, np.array([0, 0, 0, 0, 0, 1, 1]), np.arange(7))
    assert [known.names[code] for code in known.codes] == [None, "a", "a", "b", "b", None, "a"]


def test_without_a_clock_a_value_is_not_carried_within_a_day():
    values = Labels.of(pl.Series([None, "a", None, None, "b", None, None]))
    person, days = np.array([0, 0, 0, 0, 0, 0, 1]), np.array([0, 0, 0, 5, 5, 5, 5])
    known = _known_so_far(values, person, days)
    assert [known.names[code] for code in known.codes] == [None, "a", None, "a", "b", "a", None]
    # A few events of one instant are those of one page: what is known of one is known of all.
    known = _known_so_far(values, person, np.array([0, 1, 2, 5, 5, 6, 7]))
    assert [known.names[code] for code in known.codes] == [None, "a", "a", "a", "b", "b", None]


def test_a_session_counts_once_although_offline_events_and_another_device_come_between():
    sessions = (0, None, 0, 1, 0, 2)
    stream = stream_of([Person([Event(at, "view", session) for at, session in enumerate(sessions)])])
    assert stream.sessions_so_far.tolist() == [0, 0, 0, 1, 1, 2]


def test_the_day_is_that_of_the_zone_s_days():
    stream = stream_of([Person([Event(1439, "view"), Event(1440, "view")])])
    assert np.diff(stream.day).tolist() == [1]
    assert stream.day[0] * DAY_US <= stream.at[0]


# (person, minute, sequence, classification, session, slice): ties in time, and in everything but the slice.
EVENTS = [
    (7, 0, None, 1, 3, "mobile"), (7, 0, None, 0, 3, None), (7, 0, 2, 1, 3, None), (7, 0, 1, 2, 3, None),
    (7, 0, None, 1, 3, "desktop"), (7, 0, None, 1, 4, "desktop"), (7, 0, None, 1, None, "desktop"),
    (7, 5, None, 2, 4, None), (9, 0, None, 1, None, None), (9, 1, None, 0, 5, "mobile"),
]  # fmt: skip
KINDS = ((0, "view", "web: view"), (1, "cart", "web: cart"), (2, "buy", "web: buy"))


def read(events):
    """Read events that were loaded in the given order."""
    table = {
        "event_ix": pa.array(range(len(events)), pa.int64()),
        "person_key": pa.array([event[0] for event in events], pa.uint64()),
        "journey_index": pa.array([1] * len(events), pa.int32()),
        "session_ix": pa.array([event[4] for event in events], pa.int64()),
        "classification_key": pa.array([event[3] for event in events], pa.int64()),
    }
    staged = {
        "event_ix": table["event_ix"],
        "event_id": [str(EVENTS.index(event)) for event in events],
        "source_ix": [1] * len(events),
        "occurred_at": pa.array([event[1] * 60_000_000 for event in events], pa.timestamp("us")),
        "sequence": pa.array([event[2] for event in events], pa.int64()),
        "slice_1": pa.array([event[5] for event in events], pa.string()),
    }
    persons = pa.array(sorted({event[0] for event in events}), pa.uint64())
    day = pa.array([0, 86_400_000_000], pa.timestamp("us"))
    relations = {
        "kernel.events": table,
        "staging.events": staged,
        "kernel.classifications": {
            "classification_key": [0, 1, 2, 0, 1, 2], "event_type_ix": [0, 1, 2, 0, 1, 2],
            "model_index": [1, 1, 1, 2, 2, 2], "stage_index": [1, 2, 2, 3, 1, 1],
        },
        "config.models": {"model_index": [1, 2]},
        "journeys.event_types": {
            "event_type_ix": [0, 1, 2], "event_name": [kind[1] for kind in KINDS], "channel": ["web"] * 3,
            "touchpoint": [kind[2] for kind in KINDS],
        },
        "config.event_type_predicates": {
            "event_type_ix": [2, 1, 1, 0],
            "predicate": ["goal/bought", "friction/slow", "friction/full", "friction/no"],
            "is_true": [True, True, True, False],
        },
        "config.goals": {"goal": ["bought", "rated"], "goal_index": [1, 2]},
        "config.passive_events": {"event_name": ["view"]},
        "config.slices": {"slice": ["device"], "slice_index": [1]},
        "config.settings": {"high_water_at": day[1:], "journeys_window_us": [7]},
        "config.days": {
            "day": pa.array([0], pa.date32()), "start_at": day[:1], "end_at": day[1:], "month": ["1970-01"],
        },
        "journeys.journey_facts": {
            "person_key": persons, "journey_index": [1, 1], "persona": ["a", "b"],
        },
        "kernel.journeys": {
            "person_key": persons, "journey_index": [1, 1], "entered_at": [*day[:1], *day[:1]],
            "first_event_ix": [0, 1],
        },
        "sources.events": {"event_ix": [0], "utm_medium": ["cpc"]},
    }  # fmt: skip
    with DuckDBEngine(threads=1) as engine:
        for name, columns in relations.items():
            engine.register(name, pa.table(columns))
        return read_stream(engine)


def test_events_are_read_in_the_order_of_person_time_sequence_and_stages_of_the_first_model():
    stream = read(EVENTS)
    assert stream.person.tolist() == [0] * 8 + [1] * 2
    assert stream.person_keys.tolist() == [7, 9]
    names = [stream.names.names[code] for code in stream.names.codes]
    assert names == ["buy", "cart", "view", "cart", "cart", "cart", "cart", "buy", "cart", "view"]
    assert stream.journey_starts.tolist() == [0, 8, 10]
    assert stream.session[-3:].tolist() == [4, -1, 5]
    assert stream.facts.rows() == [("a", "1970-01", "cpc"), ("b", "1970-01", None)]
    assert (stream.high_water, stream.window) == (DAY_US, 7)


def test_kinds_say_what_is_a_goal_passive_or_a_friction():
    kinds = read(EVENTS).kinds
    assert kinds["is_goal"].to_list() == [False, False, True]
    assert kinds["is_passive"].to_list() == [True, False, False]
    assert kinds["frictions"].to_list() == [None, "full\nslow", None]


@pytest.mark.parametrize("seed", range(10))
def test_the_order_in_which_equal_events_were_loaded_changes_nothing(seed):
    first = read(EVENTS)
    other = read(random.Random(seed).sample(EVENTS, len(EVENTS)))
    for name in ("person", "at", "session", "kind"):
        assert getattr(first, name).tolist() == getattr(other, name).tolist(), name
    assert first.slices["device"].codes.tolist() == other.slices["device"].codes.tolist()


def test_of_many_events_whole_persons_are_read_one_in_n(monkeypatch):
    events = [(8, *event[1:]) if event[0] == 7 else event for event in EVENTS]
    monkeypatch.setattr(sys.modules[__name__], "EVENTS", events)
    monkeypatch.setattr(module, "MOST_EVENTS", 5)
    stream = read(events)
    assert stream.persons_each == 2
    assert stream.person_keys.tolist() == [8]
    assert len(stream) == 8
    assert len(stream.facts) == 1
