"""A synthetic shop with two planted incidents, read without order."""

import polars as pl
import pytest

from external import oracle
from external.reconcile import assert_reconciles


@pytest.fixture(scope="module")
def sessions(external_data):
    return oracle.by(oracle.shop(external_data / "shop_personas" / "ecom.csv.gz"), lambda event: event.session)


def paying(groups, key, value, *, through=None, days=None):
    """Count sessions of a kind that hold an event, and those of them that hold a purchase."""
    held = [group for group in groups if key is None or group[0].detail[key] == value]
    if through:
        held = [group for group in held if any(event.name == through for event in group)]
    if days:
        first, last = (oracle.microseconds(day) for day in days)
        held = [group for group in held if first <= min(e.at for e in group if e.name == through) < last + oracle.DAY]
    return [len(held), sum(any(event.name == "purchase" for event in group) for group in held)]


def test_everything_adds_up(night):
    assert_reconciles(night)


def test_every_row_is_an_event(night, sessions):
    assert 31_106 == sum(map(len, sessions.values())) == night.audit("accepted_count")
    assert len(sessions) == 3_605


@pytest.mark.parametrize(
    ("key", "value", "truth"),
    [
        ("platform", "desktop", [1890, 277]),
        ("platform", "mobile", [1295, 126]),
        ("platform", "tablet", [420, 67]),
        ("user_lifecycle", "new", [963, 81]),
        ("user_lifecycle", "returning", [1840, 241]),
        ("user_lifecycle", "loyal", [802, 148]),
    ],
)
def test_sessions_that_purchase(night, sessions, key, value, truth):
    assert truth == paying(sessions.values(), key, value) == night.steps(value)


@pytest.mark.parametrize(("platform", "truth"), [("mobile", [61, 19]), ("desktop", [120, 83])])
def test_the_checkout_incident(night, sessions, platform, truth):
    days = ("2024-04-09", "2024-05-10")
    again = paying(sessions.values(), "platform", platform, through="shipping_details", days=days)
    assert truth == again == night.steps(f"{platform}_checkout_incident")


def test_the_payment_incident(night, sessions):
    days = ("2024-05-19", "2024-06-08")
    during = paying(sessions.values(), None, None, through="payment_details", days=days)
    ever = paying(sessions.values(), None, None, through="payment_details")
    assert [139, 50] == during == night.steps("payment_incident")
    published = [
        all_ - some for all_, some in zip(night.steps("payment"), night.steps("payment_incident"), strict=True)
    ]
    assert [493, 420] == [all_ - some for all_, some in zip(ever, during, strict=True)] == published


def test_personas_hold_every_person(night, sessions):
    first = {}
    for event in sorted((e for group in sessions.values() for e in group), key=lambda e: e.order):
        first.setdefault(event.user, event.detail["acquisition_channel"])
    counts = pl.Series(list(first.values())).value_counts()
    by_channel = dict(counts.rows())
    published = dict(night.table("personas").select("persona", "person_count").rows())
    assert published["searchers"] == by_channel["organic"] + by_channel["paid_search"]
    assert published["followers"] == by_channel["email"] + by_channel["social"]
    assert published["unassigned"] == by_channel["direct"]
