"""The row of people reached: how many, against the most, and what became of them."""

from __future__ import annotations

from typing import Final

from journeyflow.report.atlas import Reach
from journeyflow.report.drawing.canvas import Box, Canvas
from journeyflow.report.drawing.contents import number, outcomes, ranged
from journeyflow.report.drawing.entries import Entry, draw_entries
from journeyflow.report.drawing.lettering import text_width
from journeyflow.report.drawing.style import DROPPED_PATTERN, PENDING_PATTERN, Style, Theme
from journeyflow.report.words import UNKNOWN, written

_BAR: Final = 16.0
_THIN: Final = 4.0
_LAST: Final = "the last stage"
_SWATCH: Final = 10.0
_INDENT: Final = 14.0
_GAP: Final = 12.0


def draw_people(canvas: Canvas, box: Box, reach: Reach | None, widest: float, style: Style) -> None:
    """Draw who reached one stage.

    Parameters
    ----------
    canvas, box, style : Canvas, Box, Style
        Where and how.
    reach : Reach or None
        The stage; None is unknown.
    widest : float
        People that a thin bar over the whole box stands for.
    """
    if reach is None or number(reach.reached) is None:
        draw_entries(canvas, box, [Entry("unknown", UNKNOWN)], style)
        return
    wide = canvas.text(box.below(_head(style) - style.number.height), written(reach.reached), style.number)
    _draw_rate(canvas, box.part(wide + 10, box.width - wide - 10), reach, style)
    against = box.line(_head(style) + 3, _THIN)
    canvas.rect(against, style.theme.rule, 1)
    canvas.rect(against.part(0, _share(number(reach.reached), widest) * box.width), style.theme.ink, 1)
    _draw_bar(canvas, against.below(_THIN + 3).line(0, _BAR), reach, style.theme)
    _draw_counts(canvas, box.below(_bars(style)), reach, style)


def people_height(reaches: list[Reach | None], width: float, style: Style) -> float:
    """Return what the row needs."""
    lines = max((len(_lines(reach, width, style)) for reach in reaches if reach), default=1)
    return _bars(style) + max(lines, 1) * style.small.height


def _head(style: Style) -> float:
    """Return what the number, and the two lines beside it, take."""
    return max(style.number.height, 2 * style.small.height)


def _bars(style: Style) -> float:
    """Return what the number and the bars take."""
    return _head(style) + _THIN + _BAR + 11


def fills(theme: Theme) -> dict[str, str]:
    """Return what the bar of each outcome is filled with."""
    return {"went on": theme.went_on, "dropped": DROPPED_PATTERN, "pending": PENDING_PATTERN}


def _draw_rate(canvas: Canvas, box: Box, reach: Reach, style: Style) -> None:
    if reach.drop_off is None:
        return
    rate, _, rest = ranged(reach.drop_off).partition(" [")
    top = _head(style) - 2 * style.small.height
    canvas.text(box.below(top), f"{rate} drop off", style.small)
    canvas.text(box.below(top + style.small.height), f"[{rest}" if rest else "", style.small)


def _draw_bar(canvas: Canvas, box: Box, reach: Reach, theme: Theme) -> None:
    """Draw what became of them, over the whole width; of the last stage, which nobody can leave, an empty bar."""
    canvas.rect(box, theme.band, 1, theme.rule)
    left = 0.0
    for words, figure in outcomes(reach):
        length = _share(number(figure), number(reach.reached)) * box.width
        if length:
            canvas.rect(box.part(left, length), fills(theme)[words], stroke=theme.ground)
        left += length


def _share(part: float | None, whole: float | None) -> float:
    return min((part or 0) / whole, 1.0) if whole else 0.0


def _draw_counts(canvas: Canvas, box: Box, reach: Reach, style: Style) -> None:
    """Write the counts behind a square filled like their part of the bar."""
    if not outcomes(reach):
        canvas.text(box, _LAST, style.small)
    for row, words_of_line in enumerate(_lines(reach, box.width, style)):
        line, left = box.line(row * style.small.height, style.small.height), 0.0
        for words, text in words_of_line:
            swatch = Box(line.x + left, line.y + (line.height - _SWATCH) / 2, _SWATCH, _SWATCH)
            canvas.rect(swatch, fills(style.theme)[words], 1, style.theme.soft)
            wide = canvas.text(line.part(left + _INDENT, line.width - left - _INDENT), text, style.small)
            left += _INDENT + wide + _GAP


def _lines(reach: Reach, width: float, style: Style) -> list[list[tuple[str, str]]]:
    """Return the counts in as few lines as they fit into."""
    lines: list[list[tuple[str, str]]] = []
    left = 0.0
    for words, figure in outcomes(reach):
        text = f"{words} {written(figure)}"
        wide = _INDENT + text_width(text, style.small.size)
        if not lines or left + wide > width:
            lines.append([])
            left = 0.0
        lines[-1].append((words, text))
        left += wide + _GAP
    return lines
