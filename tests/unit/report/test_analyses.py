"""The analyses of the page: every figure is in its table, and every difference in `journeyflow compare`."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from journeyflow.publish.reader import open_published
from journeyflow.report.analyses import TREND, what_if
from journeyflow.report.compare import compare_maps
from journeyflow.report.reader import read_report_data
from journeyflow.statistics.proportions import wilson_interval
from journeyflow.utils.formatting import count
from support.map_tables import MARKUP, analysis_tables, publish_tables, rich_tables
from support.report_figures import figures_of, wrong_figures


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    folder = tmp_path_factory.mktemp("analyses")
    publish_tables(folder, rich_tables() | analysis_tables())
    with open_published(folder) as found:
        yield found


@pytest.fixture(scope="module")
def report_data(published):
    return read_report_data(published, periods=["all"])


def test_the_sql_of_every_figure_returns_it(report_data, published):
    beside = replace(report_data, maps=(), funnels=(), flows=())
    assert {analysis.key for analysis in beside.analyses if analysis.entries} == {
        "trend", "forecast", "changes", "retention", "attribution", "paths", "discovered", "overlaps", "actions",
    }  # fmt: skip
    assert wrong_figures(beside, published) == []
    assert all(figure.sql.isprintable() and len(figure.sql) < 1_500 for figure in figures_of(beside))


def test_a_pain_point_says_what_mending_its_stage_would_bring_as_the_command_does(published):
    found = read_report_data(published, models=["shop"], personas=["all", "unassigned"], periods=["all", "2026-01"])
    gained = what_if(published, "shop", "all", 0.1).rows_by_key("stage", named=True, unique=True)
    awareness = gained["awareness"]
    said = {(each.persona, each.period): each.opportunities for each in found.maps}
    texts = {
        each.what_if for each in said["all", "all"] if each.stage_label == "Awareness" and each.origin != "promise"
    }
    assert len(texts) == 1
    (text,) = texts
    assert "a tenth of the 400 journeys that ended at Awareness" in text
    ends = [count(round(awareness[f"gain_{end}"])) for end in ("count", "low", "high")]
    assert "about {} more (95 % interval {} to {}) of 1,000 would have reached Loyal".format(*ends) in text
    # The chain is of the whole time, of two personas, and of leaving a stage, which is no broken promise.
    silent = (*said["unassigned", "all"], *said["all", "2026-01"])
    silent += tuple(each for each in said["all", "all"] if each.origin == "promise" or each.stage_label == "Loyal")
    assert silent
    assert {each.what_if for each in silent} == {""}


def test_differences_are_those_of_the_comparison_of_two(report_data, published):
    sides = {"all": "everybody"}
    found = [each for each in report_data.differences if each.model == "shop" and each.start[1] == each.end[1]]
    assert {(each.start[0], each.end[0]) for each in found} >= {("all", "student"), ("student", MARKUP)}
    for each in found:
        names = [sides.get(name, name) for name, _ in (each.start, each.end)]
        rows = compare_maps(published, (names[0], names[1]), model="shop").rows
        beyond = rows.filter(rows["is_beyond_chance"])
        assert (each.compared_count, each.beyond_count) == (rows.height, beyond.height)
        columns = ("rate_a", "base_a", "rate_b", "base_b", "difference", "difference_low", "difference_high")
        listed = [(r.first, r.first_count, r.second, r.second_count, r.difference, r.low, r.high) for r in each.rows]
        assert listed == beyond.select(columns).rows()[: len(listed)]
    texts = {row.text for each in found for row in each.rows}
    assert all("leave at Decision" not in text for text in texts)


def test_a_week_has_the_rate_of_its_days_whose_window_is_over(tmp_path):
    days = [(date(2026, 1, 5), 40, 10, True), (date(2026, 1, 7), 20, 2, True), (date(2026, 1, 8), 30, 1, False)]
    rows = [
        {"funnel": "f", "persona": "all", "entry_date": day, "step_index": index, "is_matured": is_over}
        | {"person_count": number, "converted_count": last}
        for day, first, last, is_over in [*days, (date(2026, 1, 12), 9, 0, False)]
        for index, number in ((1, first), (2, last))
    ]
    publish_tables(tmp_path, {"funnel_trend": rows})
    with open_published(tmp_path) as opened:
        week, young = opened.sql(f"select * from ({TREND.format(step='week')}) order by first_day").to_dicts()
    assert (week["entered_count"], week["reached_count"], week["matured_count"]) == (90, 13, 60)
    assert week["conversion_rate"] == 12 / 60
    low, high = wilson_interval(np.array([12]), np.array([60]))
    assert (week["conversion_low"], week["conversion_high"]) == pytest.approx((low[0], high[0]), abs=1e-12)
    assert (young["matured_count"], young["conversion_rate"], young["conversion_low"]) == (0, None, None)


def test_analyses_without_rows_or_tables_are_empty(tmp_path):
    publish_tables(tmp_path, {})
    with open_published(tmp_path) as opened:
        found = read_report_data(opened)
    assert [analysis.entries for analysis in found.analyses] == [()] * 9
    assert found.differences == ()
