from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from journeyflow.engines import DuckDBEngine
from journeyflow.kernel.sessions import group_keys, person_components, resolve_aliases, user_aliases

LARGE = 2**64 - 1
pairs = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=20)


def _keys(values):
    return np.array(values, dtype=np.uint64)


def _groups(keys, numbers):
    found: dict[int, set[int]] = {}
    for key, number in zip(keys.tolist(), numbers.tolist(), strict=True):
        found.setdefault(number, set()).add(key)
    return sorted(map(sorted, found.values()))


def _merged(pairs):
    """Merge sets until nothing changes: the slow and obvious way."""
    groups = [{left, right} for left, right in pairs]
    while True:
        for n, group in enumerate(groups):
            other = next((each for each in groups[n + 1 :] if each & group), None)
            if other is not None:
                groups.remove(other)
                group |= other
                break
        else:
            return sorted(map(sorted, groups))


@given(pairs, st.randoms())
def test_groups_are_what_pairs_connect_in_any_order(pairs, random):
    keys, numbers = group_keys(_keys([left for left, _ in pairs]), _keys([right for _, right in pairs]))
    assert _groups(keys, numbers) == _merged(pairs)
    shuffled = [pair if random.random() < 0.5 else pair[::-1] for pair in random.sample(pairs, len(pairs))]
    again = group_keys(_keys([left for left, _ in shuffled]), _keys([right for _, right in shuffled]))
    assert np.array_equal(keys, again[0])
    assert np.array_equal(numbers, again[1])


@given(pairs)
def test_a_person_has_one_of_its_own_keys(pairs):
    previous, current = _keys([left for left, _ in pairs]), _keys([right for _, right in pairs])
    keys, persons = resolve_aliases(previous, current)
    for group in _merged(pairs):
        chosen = {person for key, person in zip(keys.tolist(), persons.tolist(), strict=True) if key in group}
        assert len(chosen) == 1
        assert chosen <= set(group)


def test_the_id_in_use_gives_the_key():
    keys, persons = resolve_aliases(_keys([3, 5]), _keys([5, LARGE]))
    assert keys.tolist() == [3, 5, LARGE]
    assert persons.tolist() == [LARGE] * 3


def test_in_a_circle_the_least_id_does():
    assert resolve_aliases(_keys([9, 4]), _keys([4, 9]))[1].tolist() == [4, 4]


SOURCE_EVENTS = pa.schema(
    [("event_ix", pa.int64()), *((name, pa.string()) for name in ("event_name", "anonymous_id", "properties"))]
)


@pytest.fixture
def engine():
    with DuckDBEngine(threads=1) as engine:
        engine.register("config.settings", pa.table({"is_clear_person_id": [False]}))
        engine.register("sources.events", SOURCE_EVENTS.empty_table())
        yield engine


def test_aliases_of_bots_and_internal_traffic_are_ignored(engine):
    events = {
        "event_ix": [1, 2, 3, 4, 5],
        "alias_key": pa.array([1, 3, 5, None, 7], pa.uint64()),
        "user_key": pa.array([2, 4, 6, 8, None], pa.uint64()),
        "is_bot": [False, True, False, False, False],
        "is_internal": [False, False, True, False, False],
    }
    engine.register("staging.events", pa.table(events))
    rows = user_aliases(engine).sort_by("user_key").to_pylist()
    assert rows == [{"user_key": 1, "person_key": 2}, {"user_key": 2, "person_key": 2}]


def test_components_hold_devices_and_persons(engine):
    meetings = {
        "device_key": pa.array([10, 10, 11, 11], pa.uint64()),
        "person_key": pa.array([1, 2, 2, 3], pa.uint64()),
    }
    engine.register("identity.shared_device_persons", pa.table(meetings))
    rows = person_components(engine).sort_by("person_key").to_pylist()
    assert [tuple(row.values()) for row in rows] == [(1, 1), (2, 1), (3, 1), (10, 1), (11, 1)]


def test_no_shared_device_no_component(engine):
    engine.register(
        "identity.shared_device_persons",
        pa.table({"device_key": pa.array([], pa.uint64()), "person_key": pa.array([], pa.uint64())}),
    )
    components = person_components(engine)
    assert components.num_rows == 0
    assert components.schema.field("component_key").type == pa.uint64()
