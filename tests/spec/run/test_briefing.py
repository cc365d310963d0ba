"""What the briefing says of the run before, from the generation that it published."""

from __future__ import annotations

import json
from datetime import timedelta

import pyarrow as pa
import pytest

import journeyflow
from journeyflow.engines import DuckDBEngine
from journeyflow.pipeline.run_report import previous_findings
from journeyflow.utils.formatting import label
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


CONFIG = """\
sources:
  web:
    format: csv
    path: web/*.csv
    channel: web
    columns: {event_id: id, occurred_at: at, anonymous_id: cookie, event_name: event}
funnels:
  order:
    steps: [{name: view, when: {event: product_view}}, {name: paid, when: {event: purchase}}]
    window: 1d
"""


def run_with(project, name: str, views: int, purchases: int, day: int):
    """Add a file of so many persons that view, of whom so many pay, and return the rows of the briefing."""
    rows = [f"{name}{number}v,2026-03-{day:02} 09:00:00,{name}{number},product_view" for number in range(views)]
    rows += [f"{name}{number}p,2026-03-{day:02} 10:00:00,{name}{number},purchase" for number in range(purchases)]
    # Somebody else comes later, so that every window is over.
    rows.append(f"{name}clock,2026-03-{day + 3:02} 09:00:00,clock,page_view")
    (project / "web" / f"{name}.csv").write_text("\n".join(["id,at,cookie,event", *rows, ""]), encoding="utf-8")
    report = journeyflow.run(project)
    with journeyflow.open(project / "published") as published:
        rows = published.table("briefing").to_dicts()
        for row in rows:
            if row["table_name"] == "funnel_steps":
                key = " and ".join(f"{name} = {value!r}" for name, value in json.loads(row["row_key"]).items())
                [step] = published.sql(f"select * from funnel_steps where {key}").to_dicts()
                assert (
                    f"{step['drop_off_count']} of {step['person_count']} persons leave at {label(step['step'])}"
                    in row["headline"]
                )
    assert [line.headline for line in report.briefing.lines] == [row["headline"] for row in rows[:-1]]
    assert report.briefing.blind_spots == rows[-1]["headline"]
    return {row["model"]: row for row in rows}


def test_a_log_without_a_cause_says_where_persons_leave_and_what_changed(tmp_path):
    (tmp_path / "web").mkdir()
    (tmp_path / "journeyflow.yml").write_text(CONFIG, encoding="utf-8")
    first = run_with(tmp_path, "a", 40, 10, 1)
    assert first["order"]["headline"] == "Funnel order: 30 of 40 persons leave at View; no cause stands out."
    assert {row["change"] for row in first.values()} == {None}
    second = run_with(tmp_path, "b", 20, 0, 10)["order"]
    assert second["headline"] == "Funnel order: 50 of 60 persons leave at View; no cause stands out."
    assert (second["change"], second["previous_count"]) == ("larger", 30)
    third = run_with(tmp_path, "c", 1, 0, 20)["order"]
    assert (third["change"], third["previous_count"]) == ("unchanged", 50)
