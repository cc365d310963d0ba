"""Columns by name and by value."""

from __future__ import annotations

import pytest

from journeyflow.setup.columns import Profile, TimeShape, assign_roles, order_times, profiles, time_shape
from journeyflow.setup.sample import Sample


def found(rows):
    columns = tuple(rows[0])
    return profiles(Sample(path=None, form="csv", columns=columns, rows=tuple(rows)))


def roles(rows):
    return assign_roles(found(rows)).columns


@pytest.mark.parametrize(
    ("values", "shape"),
    [
        (["1767225600"], TimeShape(unit="s", has_zone=True)),
        (["1767225600123"], TimeShape(unit="ms", has_zone=True)),
        (["1767225600123456"], TimeShape(unit="us", has_zone=True)),
        (["1767225600123456789"], TimeShape(unit="ns", has_zone=True)),
        (["2026-01-01T10:00:00"], TimeShape()),
        (["2026-01-01 10:00:00 UTC"], TimeShape(has_zone=True)),
        (["2026-01-01"], TimeShape(has_clock=False)),
        (["31/01/2026 10:00", "01/02/2026 10:00"], TimeShape(format="%d/%m/%Y %H:%M")),
        (["01/31/2026 10:00:05 PM"], TimeShape(format="%m/%d/%Y %I:%M:%S %p")),
        (["05.01.2026"], TimeShape(format="%d.%m.%Y", has_clock=False)),
        (["05/01/2026"], TimeShape(format="%d/%m/%Y", other_format="%m/%d/%Y", has_clock=False)),
        (["75805000264"], None),
        (["4711"], None),
        (["2026-01-01", "soon"], None),
        ([], None),
    ],
)
def test_times_are_known_by_their_values(values, shape):
    assert time_shape(values) == shape


def test_a_column_that_is_empty_or_holds_placeholders_fills_nothing():
    rows = [
        {"device_id": "", "user_id": "NULL", "distinct_id": f"d{n}", "time": "2026-01-01", "event": "a"}
        for n in range(5)
    ]
    assert roles(rows) == {"occurred_at": "time", "anonymous_id": "distinct_id", "event_name": "event"}


def test_the_fuller_of_two_identifiers_counts():
    rows = [
        {"visitor_id": "v" if n == 0 else "", "cookie": f"c{n}", "ts": "2026-01-01", "event": "a"} for n in range(10)
    ]
    assert roles(rows)["anonymous_id"] == "cookie"


def test_a_company_and_a_kind_of_device_are_no_persons():
    rows = [
        {
            "account_id": f"a{n % 3}",
            "device": ("mobile", "desktop")[n % 2],
            "visitor_id": f"v{n % 40}",
            "timestamp": "2026-01-01 10:00:00",
        }
        for n in range(200)
    ]
    assert roles(rows) == {"occurred_at": "timestamp", "anonymous_id": "visitor_id"}
    assert "anonymous_id" not in roles([{"device": row["device"], "timestamp": row["timestamp"]} for row in rows])


@pytest.mark.parametrize("count", [2, 11, 54])
def test_a_kind_of_device_is_no_person_in_a_short_file_either(count):
    rows = [
        {"device": ("Mobile", "desktop")[n % 2], "user_id": f"u{n}", "timestamp": "2026-01-01 10:00:00"}
        for n in range(count)
    ]
    assert roles(rows) == {"occurred_at": "timestamp", "user_id": "user_id"}


def test_a_time_under_any_name_is_found_by_its_values():
    rows = [{"user_id": f"u{n}", "event_name": "a", "stamped": f"2026-01-0{n + 1}T10:00:00"} for n in range(5)]
    assert roles(rows)["occurred_at"] == "stamped"


def test_a_time_that_does_not_parse_is_none():
    rows = [{"user_id": f"u{n}", "event_name": "a", "timestamp": "yesterday"} for n in range(5)]
    assert "occurred_at" not in roles(rows)


def test_text_is_no_amount_and_many_letters_are_no_currency():
    rows = [
        {"user_id": f"u{n}", "event": "a", "ts": "2026-01-01", "amount": "a lot", "currency": "euro"} for n in range(3)
    ]
    assert not {"revenue_amount", "currency"} & set(roles(rows))


def test_the_moments_of_an_order_leave_out_estimates():
    rows = [
        {
            "id": "1",
            "customer_id": "c",
            "ordered_at": "2026-01-01",
            "delivered_at": "2026-01-02",
            "estimated_date": "2026-01-03",
        }
    ]
    assert order_times(found(rows)) == ["ordered_at", "delivered_at"]


def test_camel_case_and_paths_are_the_same_name():
    assert Profile("context.anonymousId", (), 0).key == "anonymous_id"
