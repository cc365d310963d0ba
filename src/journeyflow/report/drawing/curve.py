"""The emotion curve: a point a stage between -1 and 1, with its interval, over all columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from journeyflow.report.atlas import Cell, Figure, Item
from journeyflow.report.drawing.canvas import Box, Canvas
from journeyflow.report.drawing.contents import number, unknown
from journeyflow.report.drawing.entries import INDENT, Entry, cut_short, draw_entries, entries_height, joined
from journeyflow.report.drawing.lettering import text_width
from journeyflow.report.drawing.style import Style, Theme, draw_mark
from journeyflow.report.words import written

HEIGHT: Final = 158.0
_EDGE: Final = 22.0
_POINT: Final = 6.5
_BESIDE: Final = 12.0
_LINES: Final = 2
_SCALE: Final = 30.0


@dataclass(frozen=True, slots=True)
class _Point:
    """A known sentiment and where it is drawn; y grows downwards."""

    x: float
    y: float
    top: float
    bottom: float
    figure: Figure
    item: Item


def draw_curve(canvas: Canvas, columns: Sequence[Box], cells: Sequence[Cell], style: Style) -> None:
    """Draw the curve.

    Parameters
    ----------
    canvas, style : Canvas, Style
        Where and how.
    columns : sequence of Box
        The cells of the row, from left to right.
    cells : sequence of Cell
        What the map says of them.
    """
    _draw_scale(canvas, columns, style)
    points = [_point(box, cell) for box, cell in zip(columns, cells, strict=True)]
    for left, right in pairwise(points):
        if left and right:
            _join(canvas, left, right, style.theme)
    for box, cell, point, following in zip(columns, cells, points, [*points[1:], None], strict=True):
        with canvas.cell(box):
            if point:
                _draw_point(canvas, point, style.theme)
                _draw_label(canvas, box, point, following, style)
            else:
                _draw_unknown(canvas, box, cell, style)


def level(box: Box, sentiment: float) -> float:
    """Return the height at which a sentiment is drawn."""
    plot = box.inset(0, _EDGE)
    return plot.y + plot.height * (1 - max(-1.0, min(1.0, sentiment))) / 2


def _point(box: Box, cell: Cell) -> _Point | None:
    figure = cell.items[0].figure("sentiment") if cell.items else None
    value = number(figure)
    if figure is None or value is None:
        return None
    ends = [end if isinstance(end, int | float) else value for end in (figure.low, figure.high)]
    return _Point(box.middle, level(box, value), level(box, ends[1]), level(box, ends[0]), figure, cell.items[0])


def _draw_scale(canvas: Canvas, columns: Sequence[Box], style: Style) -> None:
    first, pen = columns[0], style.small
    for sentiment, dashes in ((1, "2 4"), (0, "none"), (-1, "2 4")):
        y = level(first, sentiment)
        canvas.line([(first.x, y), (columns[-1].right, y)], style.theme.rule, 1.2, dashes)
        with canvas.cell(Box(first.x - _SCALE - 6, y - pen.height / 2, _SCALE, pen.height)) as words:
            canvas.text(words, f"{sentiment:+d}" if sentiment else "0", pen, "end")


def _join(canvas: Canvas, left: _Point, right: _Point, theme: Theme) -> None:
    """Join two neighbours; the shade shows their intervals, and says nothing of what lies between them."""
    canvas.shape(
        [(left.x, left.top), (right.x, right.top), (right.x, right.bottom), (left.x, left.bottom)], theme.curve, 0.12
    )
    sure = left.figure.evidence == right.figure.evidence == "observed"
    canvas.line([(left.x, left.y), (right.x, right.y)], theme.curve, 2.6, "none" if sure else "7 5")


def _draw_point(canvas: Canvas, point: _Point, theme: Theme) -> None:
    canvas.line([(point.x, point.top), (point.x, point.bottom)], theme.curve, 1.6)
    for end in (point.top, point.bottom):
        canvas.line([(point.x - 5, end), (point.x + 5, end)], theme.curve, 1.6)
    draw_mark(canvas, point.x, point.y, point.figure.evidence, theme, _POINT)


def _draw_label(canvas: Canvas, box: Box, point: _Point, following: _Point | None, style: Style) -> None:
    """Write the value to the right of the point, on the side that the curve turns away from."""
    width = box.right - point.x - _BESIDE
    based = [f"n {point.figure.n:,}"] if point.figure.n is not None else []
    words = joined([*based, *filter(None, [point.item.note])], width, style.small)
    while len(words) > _LINES:
        words = cut_short(words)
    height = style.strong.height + len(words) * style.small.height
    is_rising = following is not None and following.y < point.y
    top = point.y + 3 if is_rising else point.y - height - 3
    place = Box(point.x + _BESIDE, max(box.y, min(top, box.bottom - height)), width, height)
    canvas.text(place, written(point.figure), style.strong, halo=style.theme.ground)
    canvas.lines(place.below(style.strong.height), words, style.small, halo=style.theme.ground)


def _draw_unknown(canvas: Canvas, box: Box, cell: Cell, style: Style) -> None:
    """Say at the middle, in place of the line, that nothing is known, and why."""
    entry = Entry("unknown", unknown(cell), line_count=3)
    wide = min(text_width(entry.text, style.body.size) + INDENT + 1, box.width - 8)
    high = entries_height([entry], wide, style)
    place = Box(box.middle - wide / 2, level(box, 0) - high / 2, wide, high)
    canvas.rect(Box(place.x - 6, place.y, wide + 12, high), style.theme.ground)
    draw_entries(canvas, place, [entry], style)
