"""Page views and six conversions known by their revenue."""

from decimal import Decimal

import pytest

from external import oracle
from external.reconcile import assert_reconciles

FOLDER = "snowplow_fractribution"


@pytest.fixture(scope="module")
def events(external_data):
    return oracle.snowplow(external_data / FOLDER / "snowplow_fractribution_events.csv")


@pytest.fixture(scope="module")
def conversions(external_data):
    path = external_data / FOLDER / "expected" / "snowplow_fractribution_conversions_by_customer_id_expected.csv"
    return oracle.rows_of(path)


def test_everything_adds_up(project):
    assert_reconciles(project)
    assert project.audit("accepted_count") == project.audit("record_count") == 98


def test_persons_and_converting_persons(project, events, conversions):
    persons = oracle.by(oracle.persons(events), lambda pair: pair[0])
    assert 67 == len(persons) == project.entered("converting")
    paying = [person for person, pairs in persons.items() if any(event.amount for _, event in pairs)]
    assert 6 == len(conversions) == len(paying) == project.entered("paying")


def test_value(project, events, conversions):
    published = sum(Decimal(row["revenue"]) for row in conversions)
    stored = project.warehouse_rows("select sum(revenue_amount) from raw.events")[0][0]
    assert Decimal("500.92") == published == sum(event.amount or 0 for event in events) == stored


def test_the_published_paths(project, external_data):
    """Their goals, value and paths without one; these are pending here, as their thirty days are not over."""
    path = external_data / FOLDER / "expected" / "snowplow_fractribution_path_summary_expected.csv"
    published = {
        row["transformed_path"]: (int(row["conversions"]), int(row["non_conversions"]), Decimal(row["revenue"] or 0))
        for row in oracle.rows_of(path)
    }
    rows = project.table("attribution_paths").filter(persona="all")
    found = {
        row["path"].replace("Typed_Address", "Direct"): (
            row["conversion_count"],
            row["not_converted_count"] + row["pending_count"],
            row["value_amount"],
        )
        for row in rows.iter_rows(named=True)
        if row["path"] != "other"
    }
    assert found == published


def test_the_published_last_touches(project):
    rows = project.table("attribution").filter(persona="all", period="all", method="last")
    found = {row["channel"]: (row["conversion_count"], row["value_amount"]) for row in rows.iter_rows(named=True)}
    assert {channel: figures for channel, figures in found.items() if figures[0]} == {
        "Typed_Address": (4, Decimal("234.42")),
        "Organic_Search": (1, Decimal("66.5")),
        "Video": (1, Decimal(200)),
    }
