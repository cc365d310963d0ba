"""The workbook and the message hold the figures of the atlas, and nothing in them acts."""

from __future__ import annotations

import io
import re
import zipfile
from dataclasses import replace

import pytest

from journeyflow.publish.reader import open_published
from journeyflow.report.cells import NONE_FOUND
from journeyflow.report.excel import LONGEST_NAME, render_workbook, sheet_namer
from journeyflow.report.formatting import cell_lines, written
from journeyflow.report.image_cells import entries_of
from journeyflow.report.markdown import escape_markdown, render_summary
from journeyflow.report.reader import read_report_data
from journeyflow.report.view_model import Cell
from support.map_tables import BIDI, CONTROLS, FORMULA, HOSTILE, LINK, MARKUP, SCRIPT, publish_tables, rich_tables

openpyxl = pytest.importorskip("openpyxl")


@pytest.fixture(scope="module")
def whole_time(rich):
    return read_report_data(rich, periods=["all"])


@pytest.fixture(scope="module")
def workbook(whole_time):
    return openpyxl.load_workbook(io.BytesIO(render_workbook(whole_time)))


def test_a_workbook_has_a_sheet_for_every_persona_and_list(workbook):
    names = ["About", "Blind spots", "Opportunities", "Drop-offs", "everybody", "student"]
    assert workbook.sheetnames[:6] == names
    assert workbook.sheetnames[-1] == "Figures"
    assert len(workbook.sheetnames) == 9


def test_no_cell_of_a_workbook_acts(workbook, whole_time):
    cells = [cell for sheet in workbook for row in sheet for cell in row]
    assert {cell.data_type for cell in cells} <= {"s", "n", "d"}
    assert not any(cell.hyperlink for cell in cells)
    assert any(cell.value == FORMULA for cell in cells)
    with zipfile.ZipFile(io.BytesIO(render_workbook(whole_time))) as packed:
        assert not [name for name in packed.namelist() if re.search(r"vba|externalLink|drawing|embed", name)]
        sheets = [packed.read(name) for name in packed.namelist() if "worksheets/sheet" in name]
    assert not any(b"<f>" in sheet or b"<hyperlink" in sheet for sheet in sheets)


def test_a_workbook_holds_every_figure_of_the_maps(workbook, whole_time):
    rows = list(workbook["Figures"].iter_rows(min_row=2, values_only=True))
    expected = [
        (figure.label, figure.value, figure.n, figure.sql)
        for found in whole_time.maps
        for row in found.rows
        for cell in row.cells
        for item in cell.items
        for figure in item.figures
    ]
    shown = [(row[6], row[7], row[10], row[13]) for row in rows]
    assert len(shown) == len(expected)
    for one, other in zip(shown, expected, strict=True):
        assert one[0] == other[0]
        assert one[1] == (pytest.approx(float(other[1])) if isinstance(other[1], int | float) else one[1])
        assert one[2:] == other[2:]


def test_a_workbook_can_be_read_at_a_glance(workbook):
    sheet = workbook["student"]
    assert sheet.freeze_panes == "B2"
    assert workbook["Figures"].freeze_panes == "A2"
    assert 20 < sheet.column_dimensions["B"].width < 60
    assert sheet["B5"].alignment.wrap_text


def test_a_workbook_of_the_same_atlas_has_the_same_bytes(whole_time):
    assert render_workbook(whole_time) == render_workbook(whole_time)


@pytest.mark.parametrize("name", [*HOSTILE, "", "'", "History", "a/b", "A:B", "a" * 40, "A" * 40, "[x]", "x'"])
def test_sheet_names_are_such_as_excel_takes(name):
    fit = sheet_namer()
    given = [fit(name) for _ in range(12)]
    assert len({one.lower() for one in given}) == 12
    for one in given:
        assert 0 < len(one) <= LONGEST_NAME
        assert not re.search(r"[\[\]:*?/\\]", one)
        assert not one.startswith("'")
        assert not one.endswith("'")
        assert one.lower() != "history"


def test_what_was_looked_for_and_not_found_is_no_unknown():
    cell = Cell("pain_points", "decision", "observed", note=NONE_FOUND)
    assert cell_lines(cell) == [NONE_FOUND, "(observed)"]
    [entry] = entries_of(cell, 3)
    assert (entry.evidence, entry.text) == ("observed", NONE_FOUND)


def test_a_note_stands_below_the_entries(whole_time):
    cell = replace(whole_time.maps[0].row("time").cells[0], note="to mind")
    assert cell_lines(cell)[-2:] == ["to mind", "(observed)"]


def test_a_message_leads_with_blind_spots_and_tells_every_persona(whole_time):
    message = render_summary(whole_time)
    assert message.index("**critical**") < message.index("**warning**") < message.index("### everybody")
    assert message.count("\n### ") == 4
    for stage in whole_time.maps[0].reached:
        assert written(stage.reached) in message
    assert len(message) < 8_000


def test_a_message_tells_every_persona_the_promises_broken(tmp_path):
    tables = rich_tables()
    for row in tables["promises"]:
        if row["persona"] == "student":
            row |= {"kept_rate": None, "kept_low": None, "kept_high": None, "is_small": True}
    publish_tables(tmp_path, tables)
    with open_published(tmp_path) as published:
        message = render_summary(read_report_data(published, models=["shop"], periods=["all"]))
    everybody, student = (message.split(f"### {name}")[1].split("###")[0] for name in ("everybody", "student"))
    [first, second] = [line for line in everybody.splitlines() if line.startswith("- Promise in ")]
    assert first.startswith("- Promise in decision")
    assert "kept 70.6 % (63.3 % to 76.9 %, n 170); were broken 50; due 200" in first
    assert "were broken 30" in second
    assert "Promise in" not in student


def test_a_message_holds_no_mark_link_or_markup_of_strangers(whole_time):
    message = render_summary(whole_time)
    assert "<" not in message
    assert not re.search(r"(?<!\\)\]\(|(?<!\\)`|https?:/|(?<!\\)\|", message)
    assert escape_markdown(MARKUP).startswith("&lt;img")


@pytest.mark.parametrize(
    "text", ["**bold**", "[a](b)", "`code`", "www.evil.example", "me@evil.example", "#1 | ~x~ _y_", LINK, SCRIPT, "$x$"]
)
def test_markdown_shows_a_text_as_it_is(text):
    escaped = escape_markdown(text)
    assert not re.search(r"(?<!\\)[*_`\[\]#|~@$<>]", escaped)
    assert "www." not in escaped
    assert not re.search(r"(?<!\\):\S", escaped)


@pytest.mark.parametrize("tables", [{}, {"map_stages": []}])
def test_every_form_can_be_written_of_nothing(tmp_path, tables):
    publish_tables(tmp_path, tables)
    with open_published(tmp_path) as published:
        report_data = read_report_data(published)
    assert "there is no map" in render_summary(report_data)
    assert openpyxl.load_workbook(io.BytesIO(render_workbook(report_data))).sheetnames[0] == "About"


def test_one_persona_without_extras_is_enough(tmp_path):
    rows = [row for row in rich_tables()["map_stages"] if row["persona"] == "all" and row["period"] == "all"]
    publish_tables(tmp_path, {"map_stages": rows})
    with open_published(tmp_path) as published:
        report_data = read_report_data(published)
    assert render_summary(report_data).count("\n### ") == 1
    assert openpyxl.load_workbook(io.BytesIO(render_workbook(report_data)))["everybody"]["A1"].value == "everybody"
    assert not any(CONTROLS in text or BIDI in text for text in render_summary(report_data).splitlines())
