"""The workbook holds the figures of the report data, and nothing in it acts."""

from __future__ import annotations

import io
import re
import zipfile
from datetime import datetime

import pytest

from journeyflow.publish.reader import open_published
from journeyflow.report.excel import LONGEST_NAME, Book, render_workbook, sheet_namer
from journeyflow.report.reader import read_report_data
from journeyflow.utils.formatting import HIDDEN_FORMULA_START
from support.map_tables import FORMULA, HOSTILE, publish_tables, rich_tables

openpyxl = pytest.importorskip("openpyxl")


@pytest.fixture(scope="module")
def workbook(whole_time):
    return openpyxl.load_workbook(io.BytesIO(render_workbook(whole_time)))


def test_a_workbook_has_a_sheet_for_every_persona_and_list(workbook):
    names = ["Briefing", "Opportunities", "Drop-offs", "Everybody", "Student"]
    assert workbook.sheetnames[:5] == names
    assert workbook.sheetnames[-3:] == ["Figures", "Blind spots", "About"]
    assert len(workbook.sheetnames) == 10


def test_a_workbook_opens_on_the_briefing(workbook, whole_time):
    rows = list(workbook["Briefing"].iter_rows(min_row=2, values_only=True))
    briefing = whole_time.briefing
    assert [row[:2] for row in rows[:2]] == [("Who", briefing.people), ("Where", briefing.stages)]
    assert [row[1] for row in rows[2:-1]] == [line.headline for line in briefing.lines]
    assert rows[2][0] == "What hurts, and what to do"
    assert rows[2][2:4] == ("larger", 80)
    assert rows[2][9].startswith("select * from")
    assert rows[-1][1] == briefing.blind_spots


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
    sheet = workbook["Student"]
    assert sheet.freeze_panes == "B2"
    assert workbook["Figures"].freeze_panes == "A2"
    assert 20 < sheet.column_dimensions["B"].width < 60
    assert sheet["B5"].alignment.wrap_text


def test_a_workbook_of_the_same_data_has_the_same_bytes(whole_time):
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


@pytest.mark.parametrize("tables", [{}, {"map_stages": []}])
def test_a_workbook_can_be_written_of_nothing(tmp_path, tables):
    publish_tables(tmp_path, tables)
    with open_published(tmp_path) as published:
        report_data = read_report_data(published)
    assert openpyxl.load_workbook(io.BytesIO(render_workbook(report_data))).sheetnames[0] == "Briefing"


def test_one_persona_without_extras_is_enough(tmp_path):
    rows = [row for row in rich_tables()["map_stages"] if row["persona"] == "all" and row["period"] == "all"]
    publish_tables(tmp_path, {"map_stages": rows})
    with open_published(tmp_path) as published:
        report_data = read_report_data(published)
    assert openpyxl.load_workbook(io.BytesIO(render_workbook(report_data)))["Everybody"]["A1"].value == "Everybody"


@pytest.mark.parametrize("text", ["\u200b=1+1", "\uff1d1+1", "\ufeff\uff20A1", " +1"])
def test_a_text_that_hides_the_sign_of_a_formula_gets_an_apostrophe(text):
    assert re.match(HIDDEN_FORMULA_START, text)
    assert not re.match(HIDDEN_FORMULA_START, "=1+1")  # Written as a text, which every program keeps.
    written = []

    class Sheet:
        def write_string(self, row, column, value, form):
            written.append(value)

    Book(datetime(2026, 1, 1), "title").write(Sheet(), 0, 0, text)
    assert written == [f"'{text}"]
