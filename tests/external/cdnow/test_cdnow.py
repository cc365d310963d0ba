"""Orders of 23,570 customers of an online shop, 1997 to 1998: who comes back in which month, and how soon."""

from __future__ import annotations

from datetime import datetime

import polars as pl
import pytest

from external import oracle
from journeyflow.engines import DuckDBEngine
from support import cohort_world

WHOLE = datetime(1998, 7, 1)
"""The end of the data: June 1998 is over."""
COHORTS = {"starts": {"first_order": {"bucket": "month", "ages": 18}}}


def read(path, first):
    """Read `customer_id date ...` from the column `first` on; the file has no header, or one without a date."""
    fields = [
        line.split()[first : first + 2] for line in path.read_text(encoding="ascii", errors="ignore").splitlines()
    ]
    rows = [(int(row[0]), datetime.strptime(row[1], "%Y%m%d")) for row in fields if len(row) == 2 and row[1].isdigit()]
    found = pl.DataFrame(rows, schema={"person_key": pl.UInt64, "occurred_at": pl.Datetime("us")}, orient="row")
    return found.with_columns(journey_index=pl.lit(1), event_name=pl.lit("purchase"), channel=pl.lit("web"))


def tables(orders, high_water_at, cohorts=COHORTS):
    with DuckDBEngine(threads=1) as engine:
        return cohort_world.build(engine, orders, high_water_at, cohorts=cohorts)


@pytest.fixture(scope="module")
def folder(external_data):
    return external_data / "truths" / "cdnow"


@pytest.fixture(scope="module", params=["master", "sample"])
def world(request, folder):
    orders = read(folder / f"CDNOW_{request.param}.txt", 0 if request.param == "master" else 1)
    return request.param, orders, tables(orders, WHOLE)


def cells(retention, rule="on"):
    return retention.filter(pl.col("rule") == rule, pl.col("persona") == "all", pl.col("channel") == "all").sort(
        "cohort", "age_index"
    )


def test_the_triangle_is_the_expected_one(world, folder):
    name, orders, built = world
    assert orders.height == {"master": 69_659, "sample": 6_919}[name]
    rows = cells(built["retention"])
    for expected in oracle.rows_of(folder / f"expected_cohorts_{name}.csv"):
        size, last = int(expected["0"]), 18 - int(expected["c"][-2:])
        cohort = rows.filter(pl.col("cohort") == expected["c"])
        assert set(cohort["person_count"]) == {size}
        for row in cohort.filter(pl.col("age_index") >= 1).to_dicts():
            returned = int(expected[str(row["age_index"])])
            is_over = row["age_index"] <= last
            assert row["returned_count"] == returned
            assert (row["matured_count"], row["pending_count"]) == ((size, 0) if is_over else (0, size))
            assert row["retention_rate"] == (pytest.approx(returned / size) if is_over else None)


def test_cohorts_are_those_of_the_first_quarter(world):
    name, _, built = world
    sizes = cells(built["retention"]).filter(pl.col("age_index") == 1, pl.col("person_count") > 0)
    entered = {row["cohort"]: row["person_count"] for row in sizes.to_dicts() if row["cohort"] != "all"}
    assert (
        entered
        == {
            "master": {"1997-01": 7846, "1997-02": 8476, "1997-03": 7248},
            "sample": {"1997-01": 781, "1997-02": 857, "1997-03": 719},
        }[name]
    )


def test_the_total_row_counts_those_with_every_month_over(world):
    name, _, built = world
    # Eighteen months are over for those of January only.
    total = cells(built["retention"]).filter(pl.col("cohort") == "all")
    assert set(total["person_count"]) == {{"master": 7846, "sample": 781}[name]}
    every = cells(built["retention"], "on_or_after").filter(pl.col("cohort") == "all")
    assert set(every["person_count"]) == {{"master": 23_570, "sample": 2_357}[name]}


def test_the_month_of_the_high_water_mark_is_open(folder):
    orders = read(folder / "CDNOW_sample.txt", 1)
    june = cells(tables(orders, datetime(1998, 6, 30))["retention"]).filter(
        pl.col("cohort") == "1997-01", pl.col("age_index") == 17
    )
    (row,) = june.to_dicts()
    assert (row["returned_count"], row["not_returned_count"], row["pending_count"]) == (33, 0, 781 - 33)
    assert row["retention_rate"] is None


def test_second_orders_come_within_so_many_days(world):
    name, _, built = world
    first = built["repeat_purchases"].filter(
        pl.col("persona") == "all", pl.col("period") == "all", pl.col("order_number") == 1
    )
    (row,) = first.to_dicts()
    persons, again, within = {
        "master": (23_570, 11_516, (4_115, 5_929, 6_887, 8_827)),
        "sample": (2_357, 1_139, (410, 601, 687, 887)),
    }[name]
    assert (row["person_count"], row["ordered_again_count"], row["pending_count"]) == (persons, again, 0)
    # Of nobody are 180 days open, so that the estimates are plain shares.
    for days, count in zip((30, 60, 90, 180), within, strict=True):
        assert row[f"within_{days}d_rate"] == pytest.approx(count / persons, rel=1e-12)
    assert row["p50_seconds"] is None or again * 2 >= persons


def test_what_is_censored_is_estimated_as_it_came(folder):
    """A back-test: what was known after 150 days about 180 days holds what came."""
    orders = read(folder / "CDNOW_master.txt", 0)
    (row,) = (
        tables(orders, datetime(1997, 7, 15))["repeat_purchases"]
        .filter(pl.col("persona") == "all", pl.col("period") == "all", pl.col("order_number") == 1)
        .to_dicts()
    )
    assert row["pending_count"] > 0
    assert row["within_180d_low"] < 8_827 / 23_570 < row["within_180d_high"]
