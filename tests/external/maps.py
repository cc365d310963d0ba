"""Reads the map of a project as the page shows it."""

from __future__ import annotations

import journeyflow
from external.projects import Project
from journeyflow.compile.map_figures import RowKey
from journeyflow.report.html import render_page
from journeyflow.report.reader import read_report_data
from journeyflow.report.view_model import Cell, ReportData

MOST_BYTES = 2_000_000


def report_data_of(project: Project) -> ReportData:
    """Return all maps of a project, whose page is small enough to be sent."""
    with journeyflow.open(project.folder / "published") as published:
        report_data = read_report_data(published)
    assert len(render_page(report_data).encode()) < MOST_BYTES
    return report_data


def cells_of(report_data: ReportData, model: str, row: RowKey, period: str = "all") -> dict[str, Cell]:
    """Return a row of the map of all persons, a cell a stage."""
    found = report_data.map_of(model, period=period)
    assert found is not None
    return {cell.stage: cell for cell in found.row(row).cells}
