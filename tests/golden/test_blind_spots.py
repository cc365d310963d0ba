"""The stories of the sample that are blind spots have their numbers, and nothing else is critical."""

import io
import re
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest
from rich.console import Console

import journeyflow
from golden.test_sample import truths  # noqa: F401 - a fixture
from journeyflow.cli.maintenance import print_status
from journeyflow.cli.run import print_report
from journeyflow.config import load_config
from journeyflow.operations.status import status_of
from journeyflow.pipeline.run_report import report_of

COUNTS = ("record", "accepted", "quarantined", "duplicate", "filtered", "erased")
OUTCOMES = {
    "counts": {f"{name}_count": 0 for name in COUNTS},
    "phase_seconds": {},
    "check_count": 0,
    "built": "full refresh: nothing was built before",
    "alerts": (),
}


PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "read-the-map.md"
QUERIES = [
    statement
    for block in re.findall(r"^```sql\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    for statement in block.split(";")
    if statement.strip()
]


@pytest.mark.parametrize("query", QUERIES)
def test_the_queries_of_the_page_find_something(sample, query):
    with journeyflow.open(sample.folder / "published") as published:
        assert published.sql(query).height


def test_run_and_status_report_what_is_critical(sample):
    out = Console(width=200, record=True, file=io.StringIO())
    print_status(status_of(load_config(sample.folder)), out)
    print_report(report_of(sample.folder / "published" / "current", **OUTCOMES), out)
    text = out.export_text()
    assert text.count("1 critical in the table blind_spots") == 1
    assert text.count("What cannot be seen: 1 critical") == 1
    assert text.count("Source chat has been silent for 43 days") == 2


@pytest.fixture(scope="module")
def spots(sample):
    return {(row["kind"], row["subject"]): row for row in sample.table("blind_spots").to_dicts()}


def test_story_3_the_silent_chat_is_what_is_critical(spots, truths):  # noqa: F811
    silent = truths["silent"]
    row = spots["silent_source", silent["source"]]
    last = datetime.fromisoformat(silent["last_event_at"]).date()
    days = (datetime.fromisoformat(truths["high_water_at"]).date() - last).days
    assert row["item_count"] == silent["events"]
    assert f"silent for {days} days, since {last}" in row["detail"]
    assert [key for key, each in spots.items() if each["severity"] == "critical"] == [("silent_source", "chat")]


@pytest.mark.parametrize("model", ["four_stage", "value_journey", "shop"])
def test_story_4_the_event_that_no_rule_covers(spots, truths, model):  # noqa: F811
    uncovered = truths["uncovered"]
    row = spots["unclassified", f"{model}: {uncovered['event_name']}"]
    assert row["severity"] == "warning"
    assert row["item_count"] == uncovered["event_count"]
    assert row["share_rate"] == pytest.approx(uncovered["event_count"] / truths["events"])
    assert f"{uncovered['event_count']} events of {uncovered['person_count']} persons" in row["detail"]


def test_traffic_devices_and_people_are_counted_as_the_generator_knows_them(spots, truths):  # noqa: F811
    assert spots["bots", "web"]["item_count"] == truths["bots"]["events"]
    assert spots["internal", "web"]["item_count"] == truths["internal"]["events"]
    assert spots["unstitched_devices", "anonymous devices"]["item_count"] == truths["devices_without_user"]
    assert spots["no_persona", "unassigned"]["item_count"] == truths["persons_by_persona"]["unassigned"]


def test_quarantine_is_counted_by_reason_and_source(sample, spots):
    for source in sample.warehouse_rows("select distinct source from ledger.files"):
        query = f"""
            select reason, count(*) from raw.quarantine
            where file_ix in (select file_ix from ledger.files where source = '{source[0]}') group by reason
        """
        expected = dict(sample.warehouse_rows(query))
        row = spots.get(("quarantined", source[0]))
        assert (row is None) == (not expected)
        assert not expected or row["item_count"] == sum(expected.values())
        assert all(f"{reason} {count}" in row["detail"] for reason, count in expected.items())


def test_what_is_supplied_and_desired_stands_beside_what_is_measured(sample):
    cells = sample.table("supplied_cells").filter(pl.col("model") == "shop", pl.col("persona") == "student")
    assert set(cells.select("stage", "aspect").rows()) == {
        ("awareness", "goal"),
        ("consideration", "need"),
        ("decision", "need"),
        ("decision", "quote"),
    }
    gaps = sample.table("desired_gaps").filter(pl.col("period") == "all", pl.col("model") == "shop")
    assert gaps.select("persona", "measure", "desired", "evidence").sort("persona", "measure").rows() == [
        ("family", "sentiment", 0.4, "observed"),
        ("student", "p50_time", 172_800.0, "observed"),
        ("student", "reach_rate", 0.3, "observed"),
        ("student", "sentiment", 0.3, "unknown"),
    ]
    # The map counts the journeys that the stage funnel counts.
    steps = sample.table("funnel_steps").filter(
        pl.col("funnel") == "shop", pl.col("persona") == "student", pl.col("period") == "all"
    )
    reached = dict(steps.select("step", "matured_count").rows())
    row = gaps.filter(pl.col("measure") == "reach_rate").row(0, named=True)
    assert row["measured"] == pytest.approx(reached["decision"] / reached["awareness"])
    assert row["base_count"] == reached["awareness"]
