"""The picture shows the numbers of the report data, as text only, in rows that fill the page."""

import io
import json
import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree

import pytest
import typst
from PIL import Image

import journeyflow
from journeyflow.report.documents import FAMILY, PICTURE, TEMPLATES, picture_of, render_png, render_svg
from journeyflow.report.formatting import figure_text, range_text
from journeyflow.report.reader import read_report_data
from journeyflow.report.view_model import Cell, Item
from support import map_tables
from support.map_tables import (
    FORMULA,
    HOSTILE,
    MARKUP,
    MODELS,
    PERIODS,
    PERSONAS,
    SCRIPT,
    publish_tables,
    rich_tables,
)

SVG = "{http://www.w3.org/2000/svg}"
TAGS = {
    "svg", "title", "desc", "g", "path", "use", "symbol", "defs", "clipPath", "pattern", "rect",
    "linearGradient", "stop",
}  # fmt: skip
EIGHT = ("aware", "engage", "subscribe", "convert", "excite", "ascend", "advocate", "promote")
MANY = tuple(f"stage with a long name {index}" for index in range(1, 21))


@cache
def report_data_of(*stages):
    """Return the report data of the hand-written tables; with stages, of one model that has them."""
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        if stages:
            patch.setattr(map_tables, "MODELS", {"shop": stages})
        publish_tables(Path(folder), rich_tables())
        with journeyflow.open(folder) as published:
            return read_report_data(published)


def every_map(*stages):
    report_data = report_data_of(*stages)
    return [(journey_map, report_data) for journey_map in report_data.maps]


def shop(**keys):
    report_data = report_data_of()
    return report_data.map_of("shop", **({"persona": "student", "period": "all"} | keys)), report_data


def plan_of(picture):
    """Return the heights of the rows, and how many items the lists show."""
    found = typst.query(
        PICTURE, "<plan>", root=TEMPLATES, field="value", one=True,
        sys_inputs={"content": json.dumps(picture), "family": FAMILY},
    )  # fmt: skip
    return json.loads(found)


def texts_of(value):
    """Yield every text of a picture."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list | tuple):
        for each in value.values() if isinstance(value, dict) else value:
            yield from texts_of(each)


def test_bars_are_as_long_as_the_shares_of_the_outcomes():
    journey_map, report_data = shop()
    people = picture_of(journey_map, report_data)["people"]
    most = max(reach.reached.value for reach in journey_map.reached)
    for shown, reach in zip(people, journey_map.reached, strict=True):
        assert shown["reached"] == figure_text(reach.reached)
        assert shown["share"] == pytest.approx(reach.reached.value / most)
        figures = [figure for figure in (reach.advanced, reach.dropped, reach.pending) if figure and reach.dropped]
        assert [part["share"] for part in shown["outcomes"]] == [
            pytest.approx(figure.value / reach.reached.value) for figure in figures
        ]
        assert [part["text"].split(" ")[-1] for part in shown["outcomes"]] == list(map(figure_text, figures))
    assert people[0]["drop_off"] == [
        f"{figure_text(journey_map.reached[0].drop_off)} drop off",
        f"[{range_text(journey_map.reached[0].drop_off)}]",
    ]
    assert people[-1]["outcomes"] == []


KEYS = [(model, persona, period) for model in MODELS for persona in PERSONAS for period in PERIODS]


def test_every_map_has_a_key():
    assert {(found.model, found.persona, found.period) for found, _ in every_map()} == {*KEYS}


@pytest.mark.parametrize("key", KEYS, ids=lambda key: f"{key[1][:9]} {key[2]}")
def test_touchpoints_are_those_of_the_map(key):
    model, persona, period = key
    journey_map = report_data_of().map_of(model, persona=persona, period=period)
    shown = picture_of(journey_map, report_data_of())["lists"]["touchpoints"]["cells"]
    for listed, cell in zip(shown, journey_map.row("touchpoints").cells, strict=True):
        assert listed["rest"] == cell.rest_count
        for entry, item in zip(listed["entries"], cell.items, strict=True):
            rate, lift = item.figure("reach_rate"), item.figure("lift")
            assert (entry["aside"], entry["share"]) == (figure_text(rate), pytest.approx(rate.value))
            assert lift is None or f"lift {figure_text(lift)} [{range_text(lift)}]" in " ".join(entry["detail"])


def test_the_curve_is_drawn_at_the_sentiments():
    points = picture_of(*shop())["curve"]
    assert [(point["value"], point.get("text"), point.get("base")) for point in points[:3]] == [
        (pytest.approx(0.42), "+0.42", ["n 80", "surveys: nps, csat"]),
        (pytest.approx(-0.2), "-0.20", ["n 55", "text: VADER, English"]),
        (pytest.approx(-0.65), "-0.65", ["n 200", "behaviour"]),
    ]
    assert all(point["low"] <= point["value"] <= point["high"] for point in points[:3])
    assert points[3]["value"] is None
    assert points[3]["entry"]["text"].startswith("unknown")


def test_pains_promises_and_owners_are_those_of_the_map():
    journey_map, report_data = shop()
    lists = picture_of(journey_map, report_data)["lists"]
    for listed, cell in zip(lists["pain_points"]["cells"], journey_map.row("pain_points").cells, strict=True):
        lost = cell.items[0].figure("lost_count")
        assert len(listed["entries"]) + listed["rest"] == len(cell.items) + cell.rest_count
        assert f"≈ {figure_text(lost)} [{range_text(lost)}] lost" in listed["entries"][0]["detail"]
    promises = [" · ".join(listed["entries"][0]["detail"]) for listed in lists["promises"]["cells"]]
    assert "kept 66.7 % [56.0 % to 76.0 %] · due 90 · broken 30 · pending 0" in promises[3]
    assert "kept 70.6 % [63.3 % to 76.9 %] · due 200 · broken 50" in promises[2]
    owners = [listed["entries"][0]["text"] for listed in lists["owner"]["cells"]]
    assert owners == [f"Team {index} <b>" for index in range(1, 5)]


def test_the_foot_states_period_high_water_mark_and_base():
    picture = picture_of(*shop())
    words = " ".join((picture["run"], picture["reading"], picture["warning"]))
    for part in ("n = 2,000 people", "2026-02-28 22:15 UTC (high-water mark)", "How to read", "2 critical blind spots"):
        assert part in words
    assert picture["title"] == "Journey map: Student"
    assert "chosen by its outcome" in picture_of(*shop(persona=MARKUP))["warning"]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_untrusted_names_are_only_text(theme):
    texts = set()
    for journey_map, report_data in every_map():
        picture = picture_of(journey_map, report_data, theme)
        texts |= {text.replace("\u200b", "") for text in texts_of(picture)}
        svg = render_svg(picture)
        assert "<!" not in svg
        assert "<?" not in svg
        for element in ElementTree.fromstring(svg).iter():
            assert element.tag.removeprefix(SVG) in TAGS
            links = [value for name, value in element.attrib.items() if name.endswith("href")]
            assert all(link.startswith("#") for link in links)
            assert not [name for name in element.attrib if name.startswith("on") or name == "style"]
    assert not [text for text in texts if re.search(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)]
    for name in (MARKUP, SCRIPT, "\\u202e", FORMULA):
        assert any(name in text for text in texts)


@pytest.mark.parametrize(
    "text",
    [*HOSTILE, "\ud800 \ufffe \uffff \x00", "]]>", "&#0;", "日本語 ﷽ عربي", '#panic("read") $ [ ] \\ #read("/etc")'],
)
def test_any_name_can_be_drawn(text):
    journey_map, report_data = shop()
    persona = [replace(found, label=text) if found.key == "student" else found for found in report_data.personas]
    owner = Cell("owner", "awareness", "supplied", (Item(text),))
    rows = [replace(row, cells=(owner, *row.cells[1:])) if row.key == "owner" else row for row in journey_map.rows]
    picture = picture_of(replace(journey_map, rows=tuple(rows)), replace(report_data, personas=tuple(persona)))
    title = ElementTree.fromstring(render_svg(picture)).find(f"{SVG}title").text
    assert title.startswith("Journey map: ")
    assert "\u200b" not in title


def test_the_title_is_plain_text_and_the_picture_may_break_a_long_word():
    journey_map, report_data = shop()
    word = "Kundenzufriedenheitsbefragung"
    personas = [replace(found, label=word, description=word) for found in report_data.personas]
    picture = picture_of(journey_map, replace(report_data, personas=tuple(personas)))
    assert "\u200b" in picture["title"]
    root = ElementTree.fromstring(render_svg(picture))
    assert root.find(f"{SVG}title").text == f"Journey map: {word}"
    assert root.find(f"{SVG}desc").text.endswith(f" · {word}")


@pytest.mark.parametrize(
    "stages",
    [
        pytest.param((), id="rich"),
        pytest.param(EIGHT, id="8"),
        pytest.param(("read",), id="1"),
        pytest.param(MANY, id="20", marks=pytest.mark.check),
        pytest.param(tuple(HOSTILE), id="hostile"),
    ],
)
def test_the_rows_fill_the_page_and_no_list_is_cut_where_there_is_room(stages):
    drawn = every_map(*stages)
    assert drawn
    for journey_map, report_data in drawn[::5]:
        picture = picture_of(journey_map, report_data)
        plan = plan_of(picture)
        assert sum(plan["heights"]) == pytest.approx(plan["space"])
        assert plan["space"] < picture["page"][1]
        assert min(plan["heights"]) > 0
        for key, limit in plan["limits"].items():
            most = max((len(cell["entries"]) for cell in picture["lists"][key]["cells"]), default=0)
            assert 1 <= limit <= max(most, 1)
        if stages != tuple(HOSTILE):
            assert plan["spare"] >= 0, "every list has room for what it shows"


def test_nothing_known_is_said_so_in_every_cell():
    journey_map, report_data = shop()
    rows = tuple(replace(row, cells=tuple(Cell(row.key, cell.stage) for cell in row.cells)) for row in journey_map.rows)
    picture = picture_of(replace(journey_map, rows=rows, reached=()), report_data)
    assert render_svg(picture)
    cells = [picture["people"], picture["curve"], *(listed["cells"] for listed in picture["lists"].values())]
    assert [list(texts_of(cell)).count("unknown") >= 4 for cell in cells] == [True] * 6


def test_the_picture_is_a_png_of_the_wanted_width():
    picture = picture_of(*shop())
    for width in (960, 1920):
        png = render_png(picture, width)
        assert png.startswith(b"\x89PNG\r\n\x1a\n")
        with Image.open(io.BytesIO(png)) as image:
            assert image.size == (width, width * 9 // 16)
            title = image.convert("L").crop((0, 0, width // 3, width // 30))
            dark = sum(title.histogram()[:100])
    assert dark > 1_000, "the title was drawn"


def test_a_picture_is_the_same_whenever_it_is_drawn():
    assert render_svg(picture_of(*shop())) == render_svg(picture_of(*shop()))
