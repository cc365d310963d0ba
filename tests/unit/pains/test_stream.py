"""The events as arrays: codes of texts, what was known of a person at an event, sessions so far, the order of ties."""

from __future__ import annotations

import random

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from support.streams import DAY_US, Event, Person, stream_of

from journeyflow.engines.duckdb_engine import DuckDBEngine
from journeyflow.pains.stream import Labels, _known_so_far, read_stream


def test_texts_are_numbered_by_the_alphabet_and_none_is_0():
    labels = Labels.of(pl.Series(["b", None, "a", "b"]))
    assert labels.names == (None, "a", "b")
    assert labels.codes.tolist() == [2, 0, 1, 2]


def test_no_text_at_all_is_not_known():
    assert Labels.of(pl.Series([None, None], dtype=pl.String)).codes.tolist() == [0, 0]
    assert Labels.of(pl.Series([], dtype=pl.String)).names == (None,)


def test_a_value_is_carried_to_later_events_of_the_person_and_never_back_or_to_another():
    values = Labels.of(pl.Series([None, "a", None, "b", None, None, "a"]))
    known = _known_so_far(values, np.array([0, 0, 0, 0, 0, 1, 1]))
    assert [known.names[code] for code in known.codes] == [None, "a", "a", "b", "b", None, "a"]


def test_a_session_counts_once_although_offline_events_and_another_device_come_between():
    sessions = (0, None, 0, 1, 0, 2)
    stream = stream_of([Person([Event(at, "view", session) for at, session in enumerate(sessions)])])
    assert stream.sessions_so_far.tolist() == [1, 1, 1, 2, 2, 3]


def test_the_day_is_that_of_the_zone_s_days():
    stream = stream_of([Person([Event(1439, "view"), Event(1440, "view")])])
    assert np.diff(stream.day).tolist() == [1]
    assert stream.day[0] * DAY_US <= stream.at[0]
