"""Reading the map of a night as the page tells it."""

from __future__ import annotations

import journeyflow
from external.nights import Night
from journeyflow.report.atlas import Atlas, Cell, RowKey
from journeyflow.report.page import render
from journeyflow.report.reading import read_atlas

MOST_BYTES = 2_000_000


def atlas_of(night: Night) -> Atlas:
    """Return all maps of a night, whose page is small enough to be sent."""
    with journeyflow.open(night.folder / "published") as published:
        atlas = read_atlas(published)
    assert len(render(atlas).encode()) < MOST_BYTES
    return atlas


def cells_of(atlas: Atlas, model: str, row: RowKey, period: str = "all") -> dict[str, Cell]:
    """Return a row of everybody's map, a cell a stage."""
    found = atlas.map_of(model, period=period)
    assert found is not None
    return {cell.stage: cell for cell in found.row(row).cells}
