"""The map itself: rows by stages, as much of each list as the page has room for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from journeyflow.report.atlas import JourneyMap, MapRow, Reach, RowKey, Stage
from journeyflow.report.drawing.canvas import Box, Canvas
from journeyflow.report.drawing.contents import entries_of, number
from journeyflow.report.drawing.curve import HEIGHT, draw_curve
from journeyflow.report.drawing.entries import draw_entries, entries_height
from journeyflow.report.drawing.frame import draw_row, draw_stages, row_height
from journeyflow.report.drawing.people import draw_people, people_height
from journeyflow.report.drawing.style import Style

ORDER: Final[tuple[RowKey, ...]] = ("people", "touchpoints", "emotion", "pain_points", "promises", "owner")
"""The rows that a slide has room for."""
_LABELS: Final = 112.0
_STAGES: Final = 42.0
_PADDING: Final = 8.0
_LOWEST_CURVE: Final = 110.0
_TALLEST_CURVE: Final = 0.28
"""Of the height of all rows."""
_WIDEST_LIST: Final = 560.0
_LISTS: Final[tuple[RowKey, ...]] = ("touchpoints", "pain_points", "promises", "owner")
_GROWING: Final[tuple[RowKey, ...]] = ("touchpoints", "pain_points", "touchpoints", "promises")
"""Which lists get one more item in turn, as long as there is room."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """Heights of the rows, and how many items the cells of a list show."""

    heights: dict[RowKey, float]
    limits: dict[RowKey, int]


def draw_grid(canvas: Canvas, box: Box, journey_map: JourneyMap, stages: Sequence[Stage], style: Style) -> None:
    """Draw stages and rows into the box."""
    across = Box(box.x + _LABELS, box.y, box.width - _LABELS, _STAGES)
    columns = [
        across.part(index * across.width / len(stages), across.width / len(stages)) for index in range(len(stages))
    ]
    draw_stages(canvas, columns, stages, style)
    reaches = _reaches(journey_map, stages)
    plan = _planned(journey_map, reaches, columns, box.height - _STAGES, style)
    top = _STAGES
    for key in ORDER:
        height = plan.heights[key]
        row = journey_map.row(key)
        place = box.line(top, height)
        draw_row(canvas, place, row.label, _LABELS, style)
        cells = [Box(column.x, place.y, column.width - 3, height).inset(_PADDING, _PADDING) for column in columns]
        _draw_cells(canvas, cells, row, reaches, plan, style)
        top += height


def _draw_cells(
    canvas: Canvas, boxes: Sequence[Box], row: MapRow, reaches: Sequence[Reach | None], plan: _Plan, style: Style
) -> None:
    if row.key == "emotion":
        draw_curve(canvas, boxes, row.cells, style)
        return
    widest = max((number(reach.reached) or 0 for reach in reaches if reach), default=0)
    for whole, cell, reach in zip(boxes, row.cells, reaches, strict=True):
        with canvas.cell(whole.part(0, min(whole.width, _WIDEST_LIST))) as box:
            if row.key == "people":
                draw_people(canvas, box, reach, widest, style)
            else:
                draw_entries(canvas, box, entries_of(cell, plan.limits[row.key]), style)


def _planned(
    journey_map: JourneyMap, reaches: list[Reach | None], columns: Sequence[Box], height: float, style: Style
) -> _Plan:
    """Return the plan that shows most; the room that is left goes to the emotion curve first."""
    width = min(columns[0].width - 3 - 2 * _PADDING, _WIDEST_LIST)
    fixed: dict[RowKey, float] = {"people": people_height(reaches, width, style) + 2 * _PADDING, "emotion": HEIGHT}
    limits = dict.fromkeys(_LISTS, 1)
    rows = {key: journey_map.row(key) for key in _LISTS}
    lists = {key: _list_height(rows[key], 1, width, style) for key in _LISTS}
    growing = list(_GROWING)
    while growing:
        key = growing.pop(0)
        most = max(len(cell.items) for cell in rows[key].cells)
        taller = _list_height(rows[key], limits[key] + 1, width, style)
        if limits[key] < most and sum((fixed | lists | {key: taller}).values()) <= height:
            limits[key] += 1
            lists[key] = taller
            growing.append(key)
    return _Plan(_shared(fixed | lists, height), limits)


def _shared(needed: dict[RowKey, float], height: float) -> dict[RowKey, float]:
    """Return the heights, grown or shrunk to fill the page: first the curve, then all lists alike."""
    spare = height - sum(needed.values())
    curve = max(_LOWEST_CURVE, min(needed["emotion"] + spare, _TALLEST_CURVE * height))
    each = (spare - (curve - needed["emotion"])) / len(_LISTS)
    return needed | {"emotion": curve} | {key: needed[key] + each for key in _LISTS}


def _list_height(row: MapRow, limit: int, width: float, style: Style) -> float:
    """Return what the fullest cell of a row and its name need."""
    fullest = max(entries_height(entries_of(cell, limit), width, style) for cell in row.cells)
    return max(fullest + 2 * _PADDING, row_height(row.label, _LABELS, style))


def _reaches(journey_map: JourneyMap, stages: Sequence[Stage]) -> list[Reach | None]:
    """Return who reached each of the stages."""
    by_stage = {reach.key: reach for reach in journey_map.reached}
    return [by_stage.get(stage.key) for stage in stages]
