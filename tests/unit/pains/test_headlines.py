"""Headlines: one sentence of who, where, when, how many, what it cost and how it is known, whatever the names hold."""

# ruff: noqa: E501 - sentences are easier to read unbroken
from __future__ import annotations

import re
from datetime import date
from decimal import Decimal

import pytest

from journeyflow.config.experience import builtin_remedies
from journeyflow.pains.headlines import MOST_CHARACTERS, headline, remedy
from journeyflow.utils.formatting import Labels

INCIDENT = {
    "persona": "all", "period": "all", "model": "m", "stage": "decision", "subject": "payment_info", "kind": "incident", "grade": "incident",
    "slice": "device=mobile", "first_day": date(2026, 3, 2), "last_day": date(2026, 3, 9), "is_ongoing": False,
    "person_count": 1400, "compared_count": 9000, "rate": 0.5, "expected_rate": 0.751, "went_on_count": 700,
    "lost_count": 350, "lost_low": 200, "lost_high": 512, "worth_amount": Decimal("12340.5"), "worth_low": Decimal(8000),
    "worth_high": Decimal(20000), "goal_lost_count": 350, "dropped_count": 900, "currency": "EUR", "e_value": 3.21, "refunded_count": None, "sentiment_effect": None, "within_seconds": 86_400 * 30,
}  # fmt: skip
EXPOSURE = INCIDENT | {"kind": "exposure", "grade": "matched", "subject": "chat_opened", "slice": None}
EXPOSURE |= {"first_day": None, "last_day": None, "is_ongoing": None}
PROMISE = EXPOSURE | {"kind": "promise", "subject": "delivery", "stage": "service"}
FELT = PROMISE | {"lost_count": 0, "lost_low": 0, "lost_high": 0, "worth_amount": None, "sentiment_effect": -0.45}
FRICTION = EXPOSURE | {"kind": "friction", "grade": "association", "lost_count": None, "expected_rate": None}
ALL = [INCIDENT, EXPOSURE, PROMISE, FELT, FRICTION, INCIDENT | {"kind": "gap", "grade": "association"}]


def test_an_incident():
    assert headline(INCIDENT) == (
        "Persons with device mobile at Decision (payment_info), 2 to 9 March 2026: 700 of 1,400 (50.0 %) went on within 30 days; of "
        "9,000 on other days and elsewhere 75.1 % did; about 350 lost by it (200 to 512), 12,340 EUR (8,000 to 20,000); others did "
        "not fall in those days."
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"is_ongoing": True}, "since 2 March 2026:"),
        ({"last_day": date(2026, 3, 2)}, "on 2 March 2026:"),
        ({"last_day": date(2026, 4, 1)}, "2 March to 1 April 2026:"),
        ({"last_day": date(2027, 1, 1)}, "2 March 2026 to 1 January 2027:"),
        ({"period": "2026-03"}, "2 to 9 March 2026, journeys of March 2026:"),
        ({"period": "2026-03", "first_day": None}, ", journeys of March 2026:"),
        ({"first_day": None}, ", the whole time:"),
        ({"persona": "family"}, "Persons of Family with device mobile at Decision"),
        ({"slice": "persona=family"}, "Persons of Family at Decision"),
        ({"slice": None, "subject": "entry"}, "Persons at Decision, 2 to"),
        (
            {"goal_lost_count": 120},
            "about 350 lost by it (200 to 512), about 120 conversions, 12,340 EUR (8,000 to 20,000);",
        ),
        (
            {"lost_count": 90, "lost_low": 90, "lost_high": 90, "dropped_count": 90, "goal_lost_count": 90},
            "at most 90 lost by it (all who dropped out there), 12,340 EUR",
        ),
        ({"goal_lost_count": None}, "about 350 lost by it (200 to 512), 12,340 EUR"),
        ({"within_seconds": 86_400.0}, "went on within 1 day; of"),
        ({"within_seconds": 118_800.5}, "went on within 1 d 9 h; of"),
        ({"within_seconds": None}, "went on; of"),
        ({"worth_amount": None}, "about 350 lost by it (200 to 512), no money known;"),
    ],
)
def test_who_when_and_what_it_cost(changes, said):
    assert said in headline(INCIDENT | changes)


def test_labels_stand_in_place_of_names():
    labels = Labels(
        {("persona", "any", "family"): "Families", ("stage", "m", "decision"): "Till", ("event", "any", "chat"): "Chat"}
    )
    row = EXPOSURE | {"persona": "family", "model": "m", "subject": "web: chat"}
    assert headline(row, labels).startswith("Persons of Families who met web: Chat at Till, the whole time:")
    assert headline(row | {"model": "n"}, labels).startswith("Persons of Families who met web: Chat at Decision,")


def test_how_it_is_known():
    assert headline(EXPOSURE).endswith("; only a strong unseen cause could explain it otherwise (E-value 3.2).")
    assert "; only a fairly strong unseen cause" in headline(EXPOSURE | {"e_value": 1.5})
    assert "; only a moderate unseen cause" in headline(EXPOSURE | {"e_value": 1.49})
    everybody = headline(INCIDENT | {"slice": None})
    assert "; of 9,000 on other days 75.1 % did;" in everybody
    assert everybody.endswith("; other stages did not fall in those days.")
    promise = PROMISE | {"slice": "persona=all but family"}
    assert "broken at Service for persons of all personas but Family, the whole time" in headline(promise)
    assert headline(EXPOSURE | {"persona": "family"}).endswith("; tested over all personas and months together.")
    assert "; of 9,000 comparable persons at the same moment 75.1 % did;" in headline(EXPOSURE)
    assert headline(EXPOSURE | {"grade": "association"}).endswith("; an association, which another cause may explain.")
    assert headline(FRICTION).endswith("1,400 persons, no estimate of those lost; configured as friction.")


def test_a_promise_without_money_says_how_it_is_ranked():
    assert headline(FELT) == (
        "Promise delivery broken at Service, the whole time: sentiment of 1,400 persons was 0.45 lower than that of 9,000 whose "
        "promise was kept; no order is known to be lost, ranked by persons and drop in sentiment; compared with similar persons."
    )


@pytest.mark.parametrize("row", ALL)
def test_every_figure_is_in_the_row(row):
    shown = {f"{value:,}" for value in row.values() if isinstance(value, int)} | {"2", "9", "2026", "30"}
    shown |= {f"{value:,.0f}" for value in row.values() if isinstance(value, Decimal)} | {"50.0", "75.1", "3.2", "0.45"}
    assert set(re.findall(r"\d[\d,.]*\d|\d", headline(row))) <= shown


@pytest.mark.parametrize("row", ALL)
def test_hostile_names_are_cut_and_without_control_characters(row):
    hostile = {name: "\x1b[31m\u202e\n" + name * 300 for name in ("subject", "slice", "stage", "persona")}
    found = headline(row | hostile)
    assert found.isprintable()
    assert len(found) <= MOST_CHARACTERS + 30


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"kind": "incident", "slice": "device=mobile"}, "for device mobile on or just before 2026-03-02"),
        ({"kind": "incident", "slice": None}, "changed or failed for everybody on or just"),
        ({"kind": "gap", "slice": "browser=Safari"}, "Go through menu as a person with browser Safari does"),
        (
            {"kind": "gap", "slice": "a {subject}", "subject": "entry"},
            "Go through Post purchase as a person with a {subject}",
        ),
        ({"kind": "promise"}, "Keep the promise menu, or promise less"),
        ({"kind": "promise", "subject": "Delivered in 3 days"}, "Promise a delivery date that is kept"),
        ({"kind": "exposure"}, "Remove the cause of menu"),
        ({"kind": "exposure", "subject": "web: payment_error"}, "Offer another way to pay"),
        ({"kind": "friction", "subject": "Complaint"}, "within a day, make it good"),
    ],
)
def test_the_catalogue_suggests_what_to_do_by_kind_and_what_was_met(changes, said):
    row = {
        "subject": "menu",
        "slice": None,
        "model": "m",
        "stage": "post_purchase",
        "first_day": date(2026, 3, 2),
    } | changes
    assert said in remedy(row, builtin_remedies(), ("decision", "post_purchase"))
