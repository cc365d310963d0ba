"""Who is who: a slow and obvious reading of the rules, against the models, on random logs."""

from __future__ import annotations

import hashlib
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from support.marts import built

MODELS = ("journeys.event_stream", "identity.persons", "identity.identities", "identity.users")
SETTINGS = """
    is_clear_person_id | person_secret
    true               | s
"""
DEVICE, USER = 100, 200
"""Keys of devices and users never meet, as hashes do not."""

events = st.lists(
    st.tuples(
        st.none() | st.integers(1, 4),
        st.none() | st.integers(1, 4),
        st.none() | st.none() | st.integers(1, 4),
        st.sampled_from([False, False, False, True]),
    ).filter(lambda event: event[0] is not None or event[1] is not None),
    max_size=14,
)


def staged(events):
    """Write events as `staging.events` and `sources.events`."""
    staging = [
        "event_ix | event_id | occurred_at | device_key | user_key | alias_key | event_name | channel | touchpoint | "
        "condition_bits | source_ix | is_bot | is_internal | is_offline"
    ]
    sources = ["event_ix | device_key | user_key | anonymous_id | user_id"]
    for ix, (device, user, alias, is_bot) in enumerate(events, 1):
        keys = f"{DEVICE + device if device else ''} | {USER + user if user else ''}"
        at = f"2026-03-01 00:00:{ix:02}"
        alias_key = USER + alias if alias and user else ""
        staging.append(
            f"{ix} | e{ix} | {at} | {keys} | {alias_key} | view | web | web: view | 0 | 1 | {is_bot} | false | false"
        )
        sources.append(f"{ix} | {keys} | {f'd{device}' if device else ''} | {f'u{user}' if user else ''}")
    return {"config.settings": SETTINGS, "staging.events": "\n".join(staging), "sources.events": "\n".join(sources)}


def groups_of(pairs):
    """Merge sets until nothing changes."""
    groups = [set(pair) for pair in pairs]
    for _ in range(len(groups)):
        for group in groups:
            for other in groups:
                if group & other:
                    group |= other
    return groups


def decided(events):
    """Return who each user and device is, by the words of the rules."""
    real = [event for event in events if not event[3]]
    aliases = [(alias, user) for _, user, alias, _ in real if alias and user and alias != user]
    groups = groups_of(aliases)
    previous = {alias for alias, _ in aliases}

    def person_of(user):
        group = next((group for group in groups if user in group), {user})
        return USER + min(group, key=lambda each: (each in previous, each))

    users = {user: person_of(user) for _, user, _, _ in real if user}
    devices = {}
    for device in {event[0] for event in real if event[0]}:
        met = {users[user] for each, user, _, _ in real if each == device and user}
        devices[device] = (next(iter(met)), False) if len(met) == 1 else (DEVICE + device, len(met) > 1)
    return users, devices


def rows_of(events):
    with built(MODELS, staged(events)) as engine:
        return {name: engine.rows(f"select * from {name}").to_pylist() for name in MODELS}


@settings(max_examples=examples(25), deadline=None)
@given(events)
def test_people_are_who_the_rules_say(events):
    users, devices = decided(events)
    found = rows_of(events)
    assert {row["user_key"] - USER: row["person_key"] for row in found["identity.users"]} == users
    identities = {
        row["device_key"] - DEVICE: (row["person_key"], row["is_shared"]) for row in found["identity.identities"]
    }
    assert identities == devices
    # Users of one device are one person only when an alias says so.
    for device, (person, is_shared) in devices.items():
        met = {users[user] for each, user, _, is_bot in events if each == device and user and not is_bot}
        assert is_shared == (len(met) > 1)
        assert is_shared or not met or {person} == met


@settings(max_examples=examples(25), deadline=None)
@given(events)
def test_every_event_that_counts_is_streamed_once_to_its_person(events):
    users, devices = decided(events)
    found = rows_of(events)
    stream = {row["event_ix"]: row for row in found["journeys.event_stream"]}
    assert sorted(stream) == [ix for ix, event in enumerate(events, 1) if not event[3]]
    persons = {row["person_key"]: row["component_key"] for row in found["identity.persons"]}
    for ix, row in stream.items():
        device, user, _, _ = events[ix - 1]
        assert row["person_key"] == (users[user] if user else devices[device][0])
        assert row["is_undecided"] == (user is None and devices[device][1])
        assert persons[row["person_key"]] == row["component_key"]
    order = [(row["component_key"], row["occurred_us"]) for row in found["journeys.event_stream"]]
    assert order == sorted(order)


@settings(max_examples=examples(15), deadline=None)
@given(events, st.integers(0, 2**32))
def test_components_are_closed_and_do_not_depend_on_the_order_of_events(events, seed):
    found = rows_of(events)
    of_person = {row["person_key"]: row["component_key"] for row in found["identity.persons"]}
    for row in found["journeys.event_stream"]:
        if row["device_key"] is not None:
            device = next(each for each in found["identity.identities"] if each["device_key"] == row["device_key"])
            assert device["component_key"] == row["component_key"] == of_person[row["person_key"]]
    again = rows_of(random.Random(seed).sample(events, len(events)))
    for name in ("identity.users", "identity.identities", "identity.persons"):
        assert sorted(map(str, found[name])) == sorted(map(str, again[name]))


def test_published_ids_prefer_the_id_in_use():
    found = rows_of([(1, 1, None, False), (1, 2, 1, False), (2, None, None, False)])
    assert sorted(row["person_id"] for row in found["identity.persons"]) == ["d2", "u2"]


def logins_of(*logins):
    """Build identities of logins: (device, user, whether the previous id is the device's)."""
    tables = staged([(device, user, 4, False) for device, user, _ in logins])
    header = "event_ix | device_key | user_key | anonymous_id | user_id | event_name | properties"
    lines = [
        f"{ix} | {DEVICE + device} | {USER + user} | d{device} | u{user} | alias | "
        f'{{"is_login": true, "previous_id": "{"d" if is_own else "x"}{device}"}}'
        for ix, (device, user, is_own) in enumerate(logins, 1)
    ]
    with built(MODELS, tables | {"sources.events": "\n".join([header, *lines])}) as engine:
        return {row["user_key"] - USER: row["person_key"] for row in engine.rows("from identity.users").to_pylist()}


def test_a_login_ties_the_id_before_it_to_the_user():
    assert logins_of((1, 1, True)) == {1: USER + 1}


def test_logins_of_several_users_from_one_device_join_none_of_them():
    assert logins_of((1, 1, True), (1, 2, True)) == {1: USER + 1, 2: USER + 2}


def test_other_statements_join_all_their_users():
    assert logins_of((1, 1, False), (2, 2, False)) == {1: USER + 1, 2: USER + 1}


def test_a_device_with_the_text_of_a_user_is_published_under_a_hash_and_shares_the_component():
    tables = staged([(1, None, None, False), (2, None, None, False), (None, 3, None, False)])
    # The keys of ids as loading computes them: device 1 and user 3 are of one text.
    header = "event_ix | device_key | user_key | anonymous_id | user_id"
    namesake = int.from_bytes(hashlib.md5(b"d:zed", usedforsecurity=False).digest()[8:], "little")
    tables["staging.events"] = tables["staging.events"].replace(f"| {DEVICE + 1} |", f"| {namesake} |")
    tables["sources.events"] = f"""{header}
        1 | {namesake} | | zed |
        2 | {DEVICE + 2} | | d2 |
        3 | | {USER + 3} | | zed"""
    with built(MODELS, tables) as engine:
        rows = {row["person_key"]: row for row in engine.rows("from identity.persons").to_pylist()}
    assert (rows[USER + 3]["person_id"], rows[DEVICE + 2]["person_id"]) == ("zed", "d2")
    assert len(rows[namesake]["person_id"]) == 32
    assert rows[namesake]["component_key"] == rows[USER + 3]["component_key"] != rows[DEVICE + 2]["component_key"]
