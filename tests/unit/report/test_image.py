"""The picture shows the numbers of the report data, as text only, inside its cells."""

import io
import re
from dataclasses import replace
from functools import cache
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree

import pytest
from PIL import Image

import journeyflow
from journeyflow.report.canvas import LIGHT, Box, Canvas, style_of, text_width
from journeyflow.report.formatting import figure_text, range_text
from journeyflow.report.image import render_png, render_svg
from journeyflow.report.image_cells import Entry, draw_entries
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
    "svg", "title", "desc", "g", "pattern", "rect", "path", "polygon", "polyline", "circle", "text",
}  # fmt: skip
ATTRIBUTES = {
    "viewBox", "width", "height", "role", "font-family", "data-box", "id", "patternUnits", "x", "y", "rx", "fill",
    "stroke", "stroke-width", "stroke-dasharray", "stroke-linejoin", "points", "fill-opacity", "cx", "cy", "r", "d",
    "textLength", "lengthAdjust", "font-size", "font-weight", "paint-order",
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


def tree_of(journey_map, report_data, theme="light"):
    return ElementTree.fromstring(render_svg(journey_map, report_data, theme))


def cells_of(tree):
    """Return every group as its box (left, top, right, bottom) and its texts."""
    groups = tree.iter(f"{SVG}g")
    return [
        ([float(side) for side in g.get("data-box").split()], [t.text for t in g.iter(f"{SVG}text")]) for g in groups
    ]


def row_of(tree, label, following):
    """Return the texts of the cells of a row, between its name and the name of the next."""
    cells = [texts for _, texts in cells_of(tree)]
    start = next(at for at, texts in enumerate(cells) if " ".join(texts) == label)
    end = next((at for at, texts in enumerate(cells) if " ".join(texts) == following), len(cells))
    return cells[start + 1 : end]


def plain(text):
    return text.replace("\N{NO-BREAK SPACE}", " ")


def every_map(*stages):
    report_data = report_data_of(*stages)
    return [(journey_map, report_data) for journey_map in report_data.maps]


def shop(**keys):
    report_data = report_data_of()
    return report_data.map_of("shop", **({"persona": "student", "period": "all"} | keys)), report_data


def test_people_are_those_of_the_map():
    journey_map, report_data = shop(period="2026-01")
    cells = row_of(tree_of(journey_map, report_data), "People reached", "Touchpoints")
    assert len(cells) == 4
    for texts, step in zip(cells, journey_map.reached, strict=True):
        assert texts[0] == figure_text(step.reached)
        if step.dropped is None:
            assert texts[1:] == ["the last stage"]
            continue
        assert texts[1] == f"{figure_text(step.drop_off)} drop off"
        assert texts[2] == f"[{range_text(step.drop_off)}]"
        outcomes = {"went on": step.advanced, "dropped": step.dropped, "pending": step.pending}
        assert texts[3:] == [f"{words} {figure.value:,}" for words, figure in outcomes.items()]
    assert [texts[0] for texts in cells] == ["1,012", "506", "337", "253"], "the funnel has 1,000 in this month"


def test_bars_are_as_long_as_their_counts():
    journey_map, report_data = shop()
    groups = [
        g
        for g in tree_of(journey_map, report_data).iter(f"{SVG}g")
        if g.find(f"{SVG}rect[@fill='url(#dropped)']") is not None
    ]
    groups = [g for g in groups if "drop off" in " ".join(g.itertext())]
    for group, step in zip(groups, journey_map.reached, strict=False):
        lengths = {fill: max(float(r.get("width")) for r in group.findall(f"{SVG}rect[@fill='{fill}']"))
                   for fill in ("#0072b2", "url(#dropped)", "url(#pending)")}  # fmt: skip
        counts = [step.advanced.value, step.dropped.value, step.pending.value]
        whole = sum(lengths.values())
        assert [length / whole for length in lengths.values()] == pytest.approx(
            [count / step.reached.value for count in counts], abs=0.001
        )
    assert len(groups) == 3


KEYS = [(model, persona, period) for model in MODELS for persona in PERSONAS for period in PERIODS]


def test_every_map_has_a_key():
    assert {(found.model, found.persona, found.period) for found, _ in every_map()} == {*KEYS}


@pytest.mark.parametrize("key", KEYS, ids=lambda key: f"{key[1][:9]} {key[2]}")
def test_touchpoints_are_those_of_the_map(key):
    model, persona, period = key
    journey_map = report_data_of().map_of(model, persona=persona, period=period)
    tree = tree_of(journey_map, report_data_of())
    cells = row_of(tree, "Touchpoints", "Emotion")
    for texts, cell in zip(cells, journey_map.row("touchpoints").cells, strict=True):
        words = plain(" ".join(texts))
        rates = re.findall(r"(?<![\[\d.])\d+\.\d %", words)
        shown = [item for item in cell.items if figure_text(item.figure("reach_rate")) in rates][: len(rates)]
        assert rates == [figure_text(item.figure("reach_rate")) for item in shown]
        more = int(re.search(r"and (\d+) more", words)[1])
        assert len(rates) + more == len(cell.items) + cell.rest_count
        for item in shown:
            lift = item.figure("lift")
            assert lift is None or f"lift {figure_text(lift)} [{range_text(lift)}]" in words


def test_the_curve_is_drawn_at_the_sentiments():
    journey_map, report_data = shop()
    tree = tree_of(journey_map, report_data)
    scale = [line.get("points") for line in tree.iter(f"{SVG}polyline") if line.get("stroke-width") == "1.2"]
    good, _, bad = (float(points.split(",")[-1]) for points in scale)
    heights = [float(c.get("cy")) for c in tree.iter(f"{SVG}circle") if c.get("r") == "6.5"]
    assert [1 - 2 * (y - good) / (bad - good) for y in heights] == pytest.approx([0.42, -0.2, -0.65], abs=0.001)
    cells = row_of(tree, "Emotion", "Pain points")[3:]
    assert [texts[:2] for texts in cells[:3]] == [
        ["+0.42", "n 80 · surveys: nps, csat"],
        ["-0.20", "n 55 · text: VADER, English"],
        ["-0.65", "n 200 · behaviour"],
    ]
    assert cells[3][0].startswith("unknown")


def test_pains_promises_and_owners_are_those_of_the_map():
    journey_map, report_data = shop()
    tree = tree_of(journey_map, report_data)
    pains = row_of(tree, "Pain points", "Promise against delivery")
    for texts, cell in zip(pains, journey_map.row("pain_points").cells, strict=True):
        words, lost = plain(" ".join(texts)), cell.items[0].figure("lost_count")
        assert texts[0] == cell.items[0].text
        assert f"≈ {figure_text(lost)} [{range_text(lost)}] lost" in words
        assert int(re.search(r"and (\d+) more", words)[1]) + words.count("lost ·") == len(cell.items) + cell.rest_count
    promises = row_of(tree, "Promise against delivery", "Owner")
    assert plain(" ".join(promises[3])).endswith("kept 66.7 % [56.0 % to 76.0 %] · due 90 · broken 30 pending 0")
    assert "kept 70.6 % [63.3 % to 76.9 %] · due 200 · broken 50" in plain(" ".join(promises[2]))
    assert [texts[0] for texts in row_of(tree, "Owner", "")[:4]] == [f"Team {index} <b>" for index in range(1, 5)]


def test_the_foot_states_period_high_water_mark_and_base():
    tree = tree_of(*shop())
    words = " ".join(tree.itertext())
    for part in ("n = 2,000 people", "2026-02-28 22:15 UTC (high-water mark)", "How to read", "2 critical blind spots"):
        assert part in words
    assert tree.find(f"{SVG}title").text == "Journey map: Student"
    assert "chosen by its outcome" in " ".join(tree_of(*shop(persona=MARKUP)).itertext())


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_untrusted_names_are_only_text(theme):
    texts = set()
    for journey_map, report_data in every_map():
        svg = render_svg(journey_map, report_data, theme)
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", svg)
        assert "<!" not in svg
        assert "<?" not in svg
        for element in ElementTree.fromstring(svg).iter():
            assert element.tag.removeprefix(SVG) in TAGS
            assert set(element.attrib) <= ATTRIBUTES
            values = set(element.attrib.values()) - {element.get("font-family")}
            assert all(re.fullmatch(r"[-\w.,# ]+|url\(#\w+\)", value) for value in values), values
            texts.add(element.text or "")
    assert any(MARKUP in text for text in texts)
    assert any(SCRIPT in text for text in texts)
    assert any("\\u202e" in text for text in texts)
    assert any(FORMULA in text for text in texts)


@pytest.mark.parametrize("text", [*HOSTILE, "\ud800 \ufffe \uffff \x00", "]]>", "&#0;", "日本語 ﷽ عربي"])
def test_any_name_can_be_drawn(text):
    journey_map, report_data = shop()
    persona = [replace(found, label=text) if found.key == "student" else found for found in report_data.personas]
    owner = Cell("owner", "awareness", "supplied", (Item(text),))
    rows = [replace(row, cells=(owner, *row.cells[1:])) if row.key == "owner" else row for row in journey_map.rows]
    tree = tree_of(replace(journey_map, rows=tuple(rows)), replace(report_data, personas=tuple(persona)))
    assert tree.find(f"{SVG}title").text.startswith("Journey map: ")
    assert_inside(tree)


def boxes_of(group):
    """Return what each text of a group covers: left, top, right, bottom."""
    for text in group.iter(f"{SVG}text"):
        x, y, size = (float(text.get(name)) for name in ("x", "y", "font-size"))
        width = text_width(text.text, size, int(text.get("font-weight")))
        assert float(text.get("textLength")) == pytest.approx(width, abs=0.01)
        yield x, y - 0.72 * size, x + width, y + 0.21 * size


def assert_inside(tree):
    covered = []
    for group in tree.iter(f"{SVG}g"):
        left, top, right, bottom = (float(side) for side in group.get("data-box").split())
        for box in boxes_of(group):
            assert left - 0.1 <= box[0]
            assert box[2] <= right + 0.1, "".join(group.itertext())
            assert top - 0.1 <= box[1]
            assert box[3] <= bottom + 0.1, "".join(group.itertext())
            covered.append(box)
    assert len(covered) == len(list(tree.iter(f"{SVG}text"))), "a text is in no cell"
    for one, other in combinations(covered, 2):
        across = min(one[2], other[2]) - max(one[0], other[0])
        down = min(one[3], other[3]) - max(one[1], other[1])
        assert across < 0.1 or down < 0.1, (one, other)
    width, height = (float(side) for side in tree.get("viewBox").split()[2:])
    assert width / height == pytest.approx(16 / 9, abs=1e-4)
    assert all(min(box) >= 0 and box[2] <= width and box[3] <= height for box in covered)


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
def test_no_text_leaves_its_cell_or_covers_another(stages):
    drawn = every_map(*stages)
    assert drawn
    for journey_map, report_data in drawn[::5]:
        assert_inside(tree_of(journey_map, report_data))


def test_nothing_known_is_said_so_in_every_cell():
    journey_map, report_data = shop()
    rows = tuple(replace(row, cells=tuple(Cell(row.key, cell.stage) for cell in row.cells)) for row in journey_map.rows)
    empty = replace(journey_map, rows=rows, reached=())
    tree = tree_of(empty, report_data)
    assert_inside(tree)
    assert [text.text for text in tree.iter(f"{SVG}text")].count("unknown") == 6 * 4 + 1


def test_the_picture_is_a_png_of_the_wanted_width():
    svg = render_svg(*shop())
    for width in (960, 1920):
        png = render_png(svg, width)
        assert png.startswith(b"\x89PNG\r\n\x1a\n")
        with Image.open(io.BytesIO(png)) as image:
            assert image.size == (width, width * 9 // 16)
            title = image.convert("L").crop((0, 0, width // 3, width // 30))
            dark = sum(title.histogram()[:100])
    assert dark > 1_000, "the title was drawn with the packaged font"


def test_letters_of_any_script_are_drawn_or_boxed():
    journey_map, report_data = shop()
    persona = [replace(found, label="日本語") if found.key == "student" else found for found in report_data.personas]
    png = render_png(render_svg(journey_map, replace(report_data, personas=tuple(persona))), 960)
    with Image.open(io.BytesIO(png)) as image:
        assert image.size == (960, 540)


def test_a_picture_is_the_same_whenever_it_is_drawn():
    assert render_svg(*shop()) == render_svg(*shop())


def test_an_entry_without_room_loses_lines_and_says_so():
    style, page = style_of(LIGHT, 4), Box(0, 0, 320, 180)
    canvas = Canvas(page, "", "", width=320, height=180)
    entry = Entry("observed", "word " * 30, "50.0 %", ("one figure of many " * 3, "and another"), 0.5, line_count=3)
    with canvas.cell(Box(10, 10, 200, 60)) as box:
        draw_entries(canvas, box, [entry], style)
    tree = ElementTree.fromstring(canvas.svg())
    assert_inside(tree)
    assert [text.text for text in tree.iter(f"{SVG}text")][-2].endswith("…")
