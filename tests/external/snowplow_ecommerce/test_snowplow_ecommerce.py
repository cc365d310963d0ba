"""Snowplow's demo shop: what the publisher counts, what a second reading of the file counts, what is published."""

from decimal import Decimal

import polars as pl
import pytest

from external import oracle
from external.projects import run_project, write_config
from external.reconcile import assert_reconciles

STEPS = ["product_view", "add_to_cart", "checkout_step", "transaction"]
FOLDER = "snowplow_ecommerce"


@pytest.fixture(scope="module")
def events(external_data):
    seen = oracle.snowplow(external_data / FOLDER / "snowplow_ecommerce_events.csv")
    kept = [event for event in seen if event.detail["app_id"] != "skip-me"]
    return oracle.renamed(kept, {"list_view": "product_view"})


@pytest.fixture(scope="module")
def expected_sessions(external_data):
    return oracle.rows_of(external_data / FOLDER / "expected" / "snowplow_ecommerce_sessions_expected.csv")


def test_everything_adds_up(project):
    assert_reconciles(project)


def test_one_row_is_filtered_and_none_is_lost(project):
    assert [
        project.audit(f"{end}_count") for end in ("record", "accepted", "filtered", "quarantined", "duplicate")
    ] == [
        833,
        832,
        1,
        0,
        0,
    ]


def test_sessions(project, events, expected_sessions):
    assert 63 == len(expected_sessions) == len({event.session for event in events}) == project.entered("sessions")


def test_sessions_that_reach_each_step(project, events, expected_sessions):
    columns = [
        "first_product_view",
        "first_product_add_to_cart",
        "session_entered_at_checkout",
        "first_transaction_completed",
    ]
    of_publisher = [sum(bool(row[column]) for row in expected_sessions) for column in columns]
    again = [len({event.session for event in events if event.name == step}) for step in STEPS]
    published = [project.entered(f"sessions_{step}") for step in ("view", "cart", "checkout", "paid")]
    assert [20, 15, 11, 8] == of_publisher == again == published


def test_persons_in_order(project, events):
    persons = oracle.by(oracle.persons(events), lambda pair: pair[0])
    again = oracle.reached([[event for _, event in pairs] for pairs in persons.values()], STEPS)
    assert [19, 14, 10, 7] == again == project.steps("buying")
    assert len(persons) == 60 == int(project.table("personas").filter(pl.col("persona") != "all")["person_count"].sum())


def test_money_is_kept_by_currency(project, events):
    again = {
        currency: sum(event.amount for event in events if event.currency == currency)
        for currency in {event.currency for event in events if event.amount is not None}
    }
    truth = {"EUR": Decimal("1234863.89"), "USD": Decimal("231231.00")}
    stored = project.warehouse_rows(
        "select currency, count(*), sum(revenue_amount) from raw.events where revenue_amount is not null group by 1"
    )
    assert truth == again == {currency: amount for currency, _, amount in stored}
    assert sum(count for _, count, _ in stored) == 14


def test_without_a_rate_currencies_are_not_added(project, external_data, request, tmp_path, events):
    assert project.steps("paying") == [19, 8]
    assert project.steps("paying", "value_at_stake_amount") == [None, None]
    rate = [("{report: EUR}", "{report: EUR, rates: {USD: 0.5}}")]
    rated = run_project(write_config(request.path.parent / "journeyflow.yml", tmp_path, external_data, swap=rate))
    # Whoever went on has paid, so what eleven people might have brought is eleven times the mean first order.
    orders = {}
    for event in sorted(events, key=lambda event: event.order):
        if event.name == "transaction":
            orders.setdefault(event.device, event.amount / (2 if event.currency == "USD" else 1))
    at_stake = 11 * sum(orders.values()) / len(orders)
    assert rated.steps("paying", "value_at_stake_amount") == [pytest.approx(at_stake), None]


def test_money_in_one_currency_needs_no_rate(project, events):
    stakes = project.steps("buying", "value_at_stake_amount")
    assert all(stake > 0 for stake in stakes[:-1])
    assert stakes[-1] is None


@pytest.mark.parametrize("model", ["four_stage", "shop"])
def test_rows_without_an_action_are_unclassified(project, model):
    nameless = pl.col("event_name") == "snowplow_ecommerce_action"
    assert project.kinds(model, nameless) == project.kinds(model, nameless, pl.col("stage") == "unclassified") == 410


def test_the_mobile_person_has_a_session_of_their_own(project):
    rows = project.warehouse_rows(
        "select distinct anonymous_id, session_id from raw.events where starts_with(user_agent, 'snowplow/andr')"
    )
    assert len(rows) == 1
    assert None not in rows[0]
