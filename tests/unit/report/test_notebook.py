"""What a notebook shows of published tables: displays in which names cannot act, narrow frames, charts."""

from __future__ import annotations

import json
import sys
from html.parser import HTMLParser
from types import SimpleNamespace

import polars as pl
import pytest

import journeyflow
from journeyflow.errors import InputError, NotFoundError
from journeyflow.report.notebook import STEP_COLUMNS, FunnelFrame
from support.map_tables import FORMULA, MARKUP, SCRIPT, cohort_tables, publish_tables, rich_tables


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notebook")
    publish_tables(folder, rich_tables() | cohort_tables())
    with journeyflow.open(folder) as opened:
        yield opened


class Tags(HTMLParser):
    """Collects the tags and the text of a page."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.text = set(), ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        assert not [name for name, _ in attrs if name != "style"]

    def handle_data(self, data):
        self.text += data


HARMLESS = {"table", "thead", "tbody", "tr", "th", "td", "div", "span", "p"}


def test_the_interface_is_seen_by_completion():
    assert dir(journeyflow) == sorted(journeyflow.__all__)
    assert {"open", "funnel", "run", "load_config"} <= set(dir(journeyflow))


@pytest.mark.parametrize("persona", ["all", MARKUP])
@pytest.mark.parametrize("model", ["shop", FORMULA])
def test_displays_hold_the_names_and_no_markup_of_the_data(tables, model, persona):
    for frame in (
        tables.funnel(model, persona=persona),
        tables.map(model, persona=persona),
        tables.opportunities(model, persona=persona),
    ):
        page = Tags(frame._repr_html_())
        assert page.tags <= HARMLESS
        stages = ("awareness", "loyal") if model == "shop" else ("read", SCRIPT)
        assert all(stage in page.text for stage in stages)
    assert MARKUP in Tags(tables.opportunities(model, persona=persona)._repr_html_()).text
    assert Tags(tables._repr_html_()).tags <= HARMLESS


def test_a_funnel_is_narrow_unless_wide_is_asked(tables):
    steps = tables.funnel("checkout")
    assert steps.columns == list(STEP_COLUMNS[1:])
    assert steps["person_count"].to_list() == [900, 450]
    assert tables.funnel("checkout", wide=True).width > 25
    assert tables.map("shop").width < tables.map("shop", wide=True).width
    assert tables.opportunities("shop").width < tables.opportunities("shop", wide=True).width


def test_an_opportunity_is_no_association(tables):
    assert "association" not in tables.opportunities("shop", wide=True)["grade"].to_list()


def test_unknown_names_are_answered_with_the_nearest(tables):
    with pytest.raises(NotFoundError, match="Did you mean 'checkout'"):
        tables.funnel("chekout")
    with pytest.raises(NotFoundError, match="Did you mean 'student'"):
        tables.map("shop", persona="studnt")
    with pytest.raises(NotFoundError, match="Did you mean '2026-01'"):
        tables.opportunities("shop", period="2026-1")


@pytest.mark.parametrize("rule", ["on", "on_or_after"])
def test_retention_is_a_triangle(tables, rule):
    page = Tags(tables.retention(FORMULA, channel=MARKUP, rule=rule)._repr_html_())
    assert page.tags <= HARMLESS
    assert ("at least 25.0" if rule == "on_or_after" else "open") in page.text
    assert tables.retention().width < tables.retention(wide=True).width
    with pytest.raises(NotFoundError, match="Did you mean 'first_event'"):
        tables.retention("first_evnt")


def test_a_frame_without_its_columns_is_shown_as_any_frame(tables):
    part = FunnelFrame(tables.funnel("checkout").select("step"))
    assert 'class="dataframe"' in part._repr_html_()
    with pytest.raises(InputError, match="lacks columns"):
        part.plot()


def test_a_chart_needs_altair_and_is_made_by_it(tables, monkeypatch):
    monkeypatch.setitem(sys.modules, "altair", None)
    with pytest.raises(InputError, match=r"pip install 'journeyflow\[plot\]'"):
        tables.funnel("checkout").plot()
    made = []
    monkeypatch.setitem(
        sys.modules,
        "altair",
        SimpleNamespace(Chart=SimpleNamespace(from_dict=lambda spec: made.append(spec) or "chart")),
    )
    for frame in (tables.funnel("shop"), tables.map("shop"), tables.opportunities("shop"), tables.retention()):
        assert frame.plot() == "chart"
        spec = made.pop()
        assert json.loads(json.dumps(spec)) == spec
        fields = {each["field"] for name, each in spec["encoding"].items() if name != "tooltip"}
        assert fields <= set(spec["data"]["values"][0])


def test_charts_are_drawn_by_altair_itself(tables):
    altair = pytest.importorskip("altair", reason="an extra: pip install 'journeyflow[plot]'")
    for frame in (tables.funnel("shop"), tables.map("shop"), tables.opportunities("shop"), tables.retention()):
        assert isinstance(frame.plot(), altair.Chart)
        assert frame.plot().to_dict()["mark"]


def test_a_funnel_of_nobody_is_shown(tables):
    nobody = tables.funnel("checkout").with_columns(
        pl.lit(0).alias("person_count"), pl.lit(None).alias("drop_off_rate")
    )
    assert "0" in Tags(FunnelFrame(nobody)._repr_html_()).text


def test_attribution_is_of_the_most_frequent_goal(tmp_path):
    rows = [
        {"goal": goal, "method": "markov", "persona": "all", "channel": channel, "period": "all"}
        | {"conversion_count": count, "goal_count": whole}
        for goal, whole, channels in (("lead", 3, {"cpc": 3.0}), ("order", 9, {"cpc": 2.0, "email": 7.0}))
        for channel, count in channels.items()
    ]
    publish_tables(tmp_path, rich_tables() | {"attribution": rows})
    with journeyflow.open(tmp_path) as opened:
        assert opened.attribution()["channel"].to_list() == ["email", "cpc"]
        assert opened.attribution("lead")["conversion_count"].to_list() == [3.0]
        with pytest.raises(NotFoundError, match="markov"):
            opened.attribution(method="markow")


def test_a_forecast_is_shown_and_drawn_where_somebody_is_pending(tmp_path):
    row = {"funnel": "checkout", "persona": "all", "step": MARKUP, "expected_count": 2.5, "low": 1, "high": 4}
    row |= {"expected_amount": 10.0, "currency": SCRIPT}
    unknown = dict.fromkeys(("expected_count", "low", "high", "expected_amount"))
    rows = [
        row | {"step_index": 1, "pending_count": 9},
        row | {"step_index": 2, "pending_count": 0},
        row | unknown | {"step_index": 3, "pending_count": 2},
    ]
    publish_tables(tmp_path, rich_tables() | {"pending_forecast": rows})
    with journeyflow.open(tmp_path) as opened:
        forecast = opened.forecast("checkout")
        assert Tags(forecast._repr_html_()).tags <= HARMLESS
        assert "1 to 4" in Tags(forecast._repr_html_()).text
        bars = forecast.chart_spec()["data"]["values"]
        assert [(bar["low"], bar["high"]) for bar in bars] == [(1, 4)]
        for wrong in ({"name": "chekout"}, {"persona": "al"}):
            with pytest.raises(NotFoundError):
                opened.forecast(**wrong)


def test_a_change_is_shown_and_drawn_from_the_old_rate_to_the_new(tmp_path):
    row = {"funnel": "checkout", "dimension": "persona", "old_period": "2026-02", "period": "2026-03"}
    row |= {"old_rate": 0.6, "new_rate": 0.4, "effect_low": None, "effect_high": None, "is_beyond_noise": False}
    rows = [
        row | {"slice": name, "step_index": index, "factor": factor, "step": MARKUP, "effect": effect}
        for name in ("all", SCRIPT)
        for index, factor, effect in ((1, "mix", -0.05), (2, "step", -0.15))
    ]
    publish_tables(tmp_path, rich_tables() | {"rate_changes": rows})
    with journeyflow.open(tmp_path) as opened:
        changes = opened.changes("checkout")
        assert Tags(changes._repr_html_()).tags <= HARMLESS
        bars = changes.chart_spec()["data"]["values"]
        assert [round(bar["from"], 9) for bar in bars] == [0, 0.6, 0.55, 0]
        assert [round(bar["to"], 9) for bar in bars] == [0.6, 0.55, 0.4, 0.4]
        assert opened.changes("checkout", by="channel").chart_spec()["data"]["values"] == []
        for wrong in ({"name": "chekout"}, {"by": "personas"}, {"period": "2026-04"}):
            with pytest.raises(NotFoundError):
                opened.changes(**wrong)
