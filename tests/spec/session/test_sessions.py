"""Where sessions begin and end, and whose events are whose on a shared device."""

from __future__ import annotations

from typing import Any

import pytest

from support.kernel_specs import Log, found_in, plan_for


def sessions(text: str, shared: tuple[str, ...] = (), **changes: Any) -> list[list[str]]:
    """Return the names of the events of each session, in the order sessions begin."""
    log = Log(text, shared)
    events = found_in(log, plan_for(log, **changes))["kernel.events"]
    names = {row["event_ix"]: log.names[row["event_type_ix"]] for row in log.rows}
    by_session: dict[int, list[str]] = {}
    for row in sorted(events, key=lambda row: row["event_ix"]):
        if row["session_ix"] is not None:
            by_session.setdefault(row["session_ix"], []).append(names[row["event_ix"]])
    return [by_session[key] for key in sorted(by_session)]


def persons(text: str, shared: tuple[str, ...]) -> dict[str, str]:
    """Return the person of each event."""
    log = Log(text, shared)
    names = {row["event_ix"]: log.names[row["event_type_ix"]] for row in log.rows}
    return {
        names[row["event_ix"]]: log.person(row["person_key"]) for row in found_in(log, plan_for(log))["kernel.events"]
    }


@pytest.mark.parametrize(("second", "expected"), [("30m", 1), ("30m1us", 2)])
def test_a_gap_above_the_timeout_begins_a_session(second, expected):
    assert len(sessions(f"ann: a@0s b@{second}")) == expected


def test_no_cut_at_midnight():
    assert sessions("ann: a@23h50m b@1d10m") == [["a", "b"]]


def test_a_session_lasts_at_most_its_longest_time():
    every_half_hour = " ".join(f"e{n}@{30 * n}m" for n in range(50))
    lengths = [len(session) for session in sessions(f"ann: {every_half_hour}")]
    # The event at exactly 24 hours still belongs to the first; the next opens another.
    assert lengths == [49, 1]


def test_devices_have_sessions_of_their_own():
    assert sessions("ann: a@0s/phone b@1m/laptop c@2m/phone") == [["a", "c"], ["b"]]


def test_offline_events_belong_to_none():
    assert sessions("ann: a@0s CALL@1m b@2m") == [["a", "b"]]
    assert sessions("ann: a@0s CALL@20m b@40m") == [["a"], ["b"]]


def test_a_mapped_session_id_replaces_the_gap_rule():
    assert sessions("ann: a@0s%x b@5h%x c@5h1m%y") == [["a", "b"], ["c"]]
    assert sessions("ann: a@0s%x b@25h%x") == [["a"], ["b"]]


def test_a_changed_user_begins_a_session_on_a_shared_device():
    log = """
        ann: a@0s/kiosk c@2m/kiosk
        bob: b@1m/kiosk
    """
    assert sessions(log, ("kiosk",)) == [["a"], ["b"], ["c"]]


def test_events_without_a_user_belong_to_the_last_user_of_the_session():
    log = """
        ?kiosk: before@0s after@2m much_later@3h
        ann: login@1m/kiosk
    """
    found = persons(log, ("kiosk",))
    assert found == {"before": "kiosk", "login": "ann", "after": "ann", "much_later": "kiosk"}


def test_sessions_are_numbered_by_device():
    log = Log("ann: a@0s/phone b@1m/laptop c@3h/phone d@6h/phone")
    rows = found_in(log, plan_for(log))["kernel.sessions"]
    numbers: dict[int, list[int]] = {}
    for row in rows:
        numbers.setdefault(row["device_key"], []).append(row["session_index"])
    assert sorted(numbers.values()) == [[1], [1, 2, 3]]


def test_journeys_end_with_a_gap_and_never_with_a_goal():
    log = Log("ann: a@0s purchase@1d b@31d c@61d1us")
    rows = found_in(log, plan_for(log))["kernel.events"]
    assert [row["journey_index"] for row in sorted(rows, key=lambda row: row["event_ix"])] == [1, 1, 1, 2]
