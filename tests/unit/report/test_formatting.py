"""Cells are written the same way in every form."""

from __future__ import annotations

from dataclasses import replace

from journeyflow.report.cells import NONE_FOUND
from journeyflow.report.documents import cell_entries
from journeyflow.report.formatting import cell_lines
from journeyflow.report.view_model import Cell


def test_a_search_without_a_finding_is_not_unknown():
    cell = Cell("pain_points", "decision", "observed", note=NONE_FOUND)
    assert cell_lines(cell) == [NONE_FOUND, "(observed)"]
    [entry] = cell_entries(cell)["entries"]
    assert (entry["evidence"], entry["text"]) == ("observed", NONE_FOUND)


def test_a_note_stands_below_the_entries(whole_time):
    cell = replace(whole_time.maps[0].row("time").cells[0], note="a note")
    assert cell_lines(cell)[-2:] == ["a note", "(observed)"]
