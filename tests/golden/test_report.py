"""The journey maps of the sample: every figure equals its table, and reading does not grow with their number."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime

import polars as pl
import pytest

import journeyflow
from journeyflow.compile.map_figures import GRAINS, STAGE
from journeyflow.report.cells import Tables
from journeyflow.report.reader import read_report_data
from support.map_tables import TABLES, published_models
from support.report_figures import figures_of, wrong_figures

EVERY = 20
"""The maps hold some fifty thousand different figures; one in so many is checked."""


@pytest.fixture(scope="module")
def published(sample):
    with journeyflow.open(sample.folder / "published") as opened:
        yield opened


@pytest.fixture(scope="module")
def report_data(published):
    return read_report_data(published)


def test_the_tables_return_the_figures_of_the_maps(report_data, published):
    assert wrong_figures(report_data, published, EVERY) == []


def test_every_table_of_the_map_has_figures_in_it(report_data):
    tables = Counter(figure.source.table for figure in figures_of(report_data))
    drawn = set(TABLES) - {"briefing", "supplied_cells", "dictionary"}
    assert drawn <= set(tables)
    assert sum(tables.values()) > 10_000


def test_a_map_reaches_as_many_as_its_table(report_data, published):
    stages = published.table("map_stages").to_dicts()
    reached = {(row["model"], row["persona"], row["period"], row["stage"]): row for row in stages}
    cells = [(found, cell) for found in report_data.maps for cell in found.row("people").cells]
    assert len(cells) == len(reached)
    for found, cell in cells:
        row = reached[found.model, found.persona, found.period, cell.stage]
        shown = {figure.key: figure.value for figure in cell.items[0].figures}
        assert shown == {key: row[key] for key in shown}


def test_the_whole_time_reaches_as_many_as_the_stage_funnel(published):
    keys = ["model", "persona", "period", "stage"]
    counts = [f"{what}_count" for what in ("person", "visited", "skipped", "converted", "drop_off", "pending")]
    counts += ["matured_count", "matured_next_count", "drop_off_rate", "drop_off_rate_low", "drop_off_rate_high"]
    steps = (
        published.table("funnel_steps").filter(kind="stages", period="all").rename({"funnel": "model", "step": "stage"})
    )
    stages = published.table("map_stages").filter(period="all")
    assert stages.height
    assert stages.select(keys + counts).sort(keys).equals(steps.select(keys + counts).sort(keys))


def test_every_row_of_a_month_is_of_the_people_that_reached_the_stage(published):
    keys = ["model", "persona", "period", "stage"]
    stages = published.table("map_stages").select(*keys, "stage_index", "matured_count", seen="visited_count")
    for table in ("touchpoints", "stage_channels"):
        met = published.table(table).join(stages, on=keys, how="left", suffix="_reached")
        assert met.height
        assert (met["visited_count"] == met["seen"]).all()
    behaved = published.table("stage_sentiment").filter(method="behaviour").join(stages, on=keys, how="left")
    assert (behaved["answer_count"] == behaved["seen"]).all()
    lost = published.table("pain_points").join(stages, on=keys, how="left")
    assert (lost["lost_count"] <= lost["person_count"]).all()
    wishes = published.table("desired_gaps").filter(pl.col("measure") == "reach_rate", pl.col("measured").is_not_null())
    entered = stages.filter(stage_index=1).select(*keys[:3], entered="matured_count")
    wishes = wishes.join(stages, on=keys, how="left").join(entered, on=keys[:3], how="left")
    assert (wishes["base_count"] == wishes["entered"]).all()
    assert (wishes["measured"] == wishes["matured_count"] / wishes["entered"]).all()


def test_the_figures_of_the_maps_are_those_of_the_long_table(report_data, published):
    cells = [(found, cell) for found in report_data.maps for row in found.rows for cell in row.cells]
    shown = {
        (found.model, found.persona, found.period, cell.stage, cell.row, *_facts(figure))
        for found, cell in cells
        for item in cell.items
        for figure in item.figures
    }
    table = published.table("map_figures")
    keys = (*STAGE, "row", "source_table")
    facts = ("figure", "unit", "evidence", "currency", "is_small", "n", "value", "low", "high")
    listed = {
        (*map(each.get, keys), tuple(json.loads(each["source_key"]).items()), *map(each.get, facts))
        for each in table.filter(pl.col("figure") != "text").iter_rows(named=True)
    }
    assert listed == shown
    assert len(shown) > 30_000
    texts = [item for _, cell in cells for item in cell.items if not item.figures]
    assert table.filter(figure="text").height == len(texts) > 100


def _facts(figure):
    numbers = map(_number, (figure.value, figure.low, figure.high))
    source = (figure.source.table, figure.source.where, figure.key)
    return (*source, figure.unit, figure.evidence, figure.currency, figure.is_small, figure.n, *numbers)


def _number(value):
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC).timestamp()
    return None if value is None else float(value)


def test_reading_more_maps_reads_no_table_more_often(published, monkeypatch):
    """What is read a second time for each map is what makes reading slow."""
    read = Counter()
    rows = Tables.rows
    monkeypatch.setattr(Tables, "rows", lambda tables, table: read.update([table]) or rows(tables, table))
    read_report_data(published, personas=["all"], periods=["all"])
    few, read = read, Counter()
    monkeypatch.setattr(Tables, "rows", lambda tables, table: read.update([table]) or rows(tables, table))
    read_report_data(published)
    assert len(read) > 10
    assert read == few


def test_the_run_publishes_the_page_of_its_tables(sample, published):
    page = published.folder / "map.html"
    assert published.manifest.files["map.html"].byte_count == page.stat().st_size < 2_000_000
    assert published.manifest.run_id in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("table", sorted(GRAINS))
def test_figures_are_keyed_by_the_grain_of_their_table(table):
    assert GRAINS[table] == published_models()[table].grain
