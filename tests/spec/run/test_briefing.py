"""What the briefing says of the run before, from the generation that it published."""

from __future__ import annotations

from datetime import timedelta

import pyarrow as pa
import pytest

from journeyflow.engines import DuckDBEngine
from journeyflow.pipeline.restatements import previous_findings
from support.map_tables import HIGH_WATER, publish_tables, rich_tables
from support.small_project import make_config


@pytest.fixture
def config(tmp_path):
    return make_config(tmp_path)


def findings_of(config, high_water_at=HIGH_WATER) -> list[dict]:
    with DuckDBEngine(threads=1) as engine:
        mark = pa.array([high_water_at], pa.timestamp("us"))
        engine.register(
            "config.settings", pa.table({"run_id": ["2"], "high_water_at": mark, "timezone": ["Europe/Berlin"]})
        )
        engine.register("ledger.runs", pa.table({"run_id": ["2"], "config_hash": ["x"]}))
        return previous_findings(engine, config).to_pylist()


def test_a_first_run_has_nothing_before_it(config):
    assert findings_of(config) == []


def test_a_later_run_reads_opportunities_and_losses_of_the_whole_time(config):
    publish_tables(config.publish, rich_tables())
    found = findings_of(config)
    by_table = {name: [row for row in found if row["table_name"] == name] for name in ("opportunities", "funnel_steps")}
    assert sum(row["table_name"] == "runs" for row in found) == 1
    first = next(row for row in by_table["opportunities"] if row["model"] == "shop" and row["persona"] == "all")
    assert first == {
        "table_name": "opportunities", "model": "shop", "persona": "all", "stage": "awareness",
        "cause_kind": "incident", "subject": "web: Payment page", "slice": "device mobile", "finding_rank": 1,
        "figure_count": 100, "is_briefed": True,
    }  # fmt: skip
    assert sum(row["is_briefed"] for row in by_table["opportunities"]) == 2
    assert {row["persona"] for row in by_table["funnel_steps"]} == {"all"}
    assert ("checkout", "cart") in {(row["model"], row["stage"]) for row in by_table["funnel_steps"]}
    # The same inputs and the same generation before give the same rows.
    assert findings_of(config) == found


def test_a_run_as_of_an_earlier_time_has_no_run_before_it(config):
    publish_tables(config.publish, rich_tables())
    assert findings_of(config, HIGH_WATER - timedelta(days=1)) == []


def test_an_association_that_was_published_is_no_earlier_opportunity(config):
    publish_tables(config.publish, rich_tables())
    assert "friction" not in {row["cause_kind"] for row in findings_of(config)}
