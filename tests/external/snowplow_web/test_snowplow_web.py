"""Snowplow's page events: what is kept, and why the publisher counts fewer sessions than we do."""

from datetime import datetime, timedelta

import pytest

from external import oracle
from external.reconcile import assert_reconciles

FOLDER = "snowplow_web"
VIEWS = ("page_view", "page_ping")
WEB_PAGE = "contexts_com_snowplowanalytics_snowplow_web_page_1_0_0"
LATE = timedelta(days=3)


@pytest.fixture(scope="module")
def events(external_data):
    return oracle.snowplow(external_data / FOLDER / "snowplow_web_events.csv")


@pytest.fixture(scope="module")
def expected(external_data):
    folder = external_data / FOLDER / "expected"
    return {name: oracle.rows_of(folder / f"snowplow_web_{name}_expected.csv") for name in ("sessions", "users")}


def late(event):
    made, sent = (datetime.fromisoformat(event.detail[f"dvce_{when}_tstamp"]) for when in ("created", "sent"))
    return sent - made > LATE


def publishers_sessions(events):
    """Count as the publisher does: page views and pings with a session and a page view id that were sent in time."""
    usable = [
        event for event in events if event.session and not late(event) and '"id":null' not in event.detail[WEB_PAGE]
    ]
    return {event.session for event in usable if event.name in VIEWS}


def our_sessions(events):
    """Cut every device's mapped sessions where the user changes or a day has passed since their start."""
    sessions = {}
    for person, event in oracle.persons(events):
        runs = sessions.setdefault((event.device or person, event.session), [])
        users = {other.user for other in runs[-1] if other.user} if runs else set()
        is_new = not runs or event.at - runs[-1][0].at > oracle.DAY or (event.user and users - {event.user})
        if is_new:
            runs.append([])
        runs[-1].append(event)
    return [run for runs in sessions.values() for run in runs]


def hours_at_cuts(events):
    """Measure, at each of our cuts inside a mapped session, how long the session before had been going on."""
    runs = sorted(our_sessions(events), key=lambda run: run[0].order)
    starts = {}
    for run in runs:
        unit = (run[0].device, run[0].session)
        if unit in starts:
            yield (run[0].at - starts[unit]) / oracle.DAY * 24
        starts[unit] = run[0].at


def test_everything_adds_up(project):
    assert_reconciles(project)


def test_of_three_recurring_ids_one_row_each_is_kept(project):
    ends = ("record", "accepted", "duplicate", "conflicting", "quarantined")
    assert [project.audit(f"{end}_count") for end in ends] == [160, 157, 3, 3, 0]


def test_the_row_received_first_wins(project):
    event = "9e983d4a-e07c-4858-8e97-bdb7feb31241"
    rows = project.warehouse_rows(f"select received_at, occurred_at from raw.events where event_id = '{event}'")
    assert [str(stamp) for stamp in rows[0]] == ["2021-03-03 21:27:32.696000", "2021-03-03 21:27:32.695000"]


def test_the_publisher_counts_sessions_by_their_own_rule(events, expected):
    assert publishers_sessions(events) == {row["domain_sessionid"] for row in expected["sessions"]}
    assert len(expected["sessions"]) == 18


def test_sessions_differ_for_known_reasons(project, events):
    ids = {event.session for event in events if event.session}
    without_views = ids - {event.session for event in events if event.name in VIEWS}
    cookies = {session: {e.device for e in events if e.session == session} for session in ids}
    users = oracle.by((e for e in events if e.session and e.user), lambda e: (e.device, e.session))
    more = {
        "the publisher's": len(publishers_sessions(events)),
        "no page view, consent banners": len(without_views),
        "sent late or without a page view id": len(ids - without_views - publishers_sessions(events)),
        "a rotating cookie is several devices": sum(len(devices) - 1 for devices in cookies.values()),
        "a changed user starts a session": sum(len({e.user for e in group}) - 1 for group in users.values()),
        "an event without a session id": sum(event.session is None for event in events),
        "over a day since the start": sum(hours > 24 for hours in hours_at_cuts(events)),
    }
    assert list(more.values()) == [18, 26, 2, 2, 8, 1, 7]
    assert sum(more.values()) == len(our_sessions(events)) == project.entered("sessions")


def test_persons(project, events, expected):
    persons = {person for person, _ in oracle.persons(events)}
    published = {person.removeprefix("user ") for person in persons if person.startswith("user ")}
    assert {row["user_id"] for row in expected["users"]} <= published
    stages = project.table("person_stages")
    assert len(persons) == stages["person_id"].n_unique()
    assert published <= set(stages["person_id"])


def test_a_device_never_joins_two_users(project):
    audit = dict(project.table("identity_audit").select("decision", "device_count").rows())
    assert sum(count for decision, count in audit.items() if "shared" in decision) == 1
