"""Cells of the picture: entries, persons reached, and the emotion curve."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import pairwise
from typing import Final

from journeyflow.report.canvas import (
    DROPPED_PATTERN,
    ELLIPSIS,
    MARK,
    PENDING_PATTERN,
    Box,
    Canvas,
    Pen,
    Style,
    Theme,
    draw_mark,
    text_width,
    wrap,
)
from journeyflow.report.formatting import UNKNOWN, written, written_range
from journeyflow.report.view_model import Cell, Evidence, Figure, Item, Reach, RowKey
from journeyflow.utils.formatting import count

INDENT: Final = 15.0
GAP: Final = 7.0
_BAR: Final = 5.0
_PERCENT: Final = "\N{NO-BREAK SPACE}%"
_ASIDE_GAP: Final = 8.0


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing to say in a cell.

    Attributes
    ----------
    evidence : Evidence or None
        The mark before it.
    text : str
        What it is; empty where the detail says all.
    aside : str
        One figure at the right of the first line.
    detail : tuple of str
        Further figures, each kept together as long as a line has room for it.
    share : float or None
        Length of a bar, from 0 to 1.
    line_count : int
        Lines that the text may take.
    """

    evidence: Evidence | None
    text: str
    aside: str = ""
    detail: tuple[str, ...] = ()
    share: float | None = None
    line_count: int = 1


@dataclass(frozen=True, slots=True)
class _Set:
    """An entry broken into the lines of a width."""

    heading: list[str]
    detail: list[str]
    bar: float

    def height(self, style: Style) -> float:
        """What it takes from top to bottom."""
        return len(self.heading) * style.body.height + self.bar + len(self.detail) * style.small.height


def entries_height(entries: Sequence[Entry], width: float, style: Style) -> float:
    """Return how high the entries are under one another."""
    return sum(_set(entry, width, style).height(style) for entry in entries) + GAP * max(len(entries) - 1, 0)


def draw_entries(canvas: Canvas, box: Box, entries: Sequence[Entry], style: Style) -> None:
    """Draw the entries from the top of the box; one that has no room loses lines from its end."""
    left = box
    for entry in entries:
        parts = _set(entry, box.width, style)
        while parts.height(style) > left.height + 0.1 and (parts.detail or len(parts.heading) > 1):
            parts = _shortened(parts)
        _draw(canvas, left, entry, parts, style)
        left = left.below(parts.height(style) + GAP)


def _shortened(parts: _Set) -> _Set:
    """Return a line less, the detail first."""
    if parts.detail:
        return replace(parts, detail=cut_short(parts.detail))
    return replace(parts, heading=cut_short(parts.heading))


def cut_short(lines: list[str]) -> list[str]:
    """Return the lines without the last, with an ellipsis where it was."""
    return [*lines[:-2], *(f"{line.rstrip(ELLIPSIS)}{ELLIPSIS}" for line in lines[-2:-1])]


def joined(parts: Sequence[str], width: float, pen: Pen) -> list[str]:
    """Return the parts in as few lines as they fit into, with a dot between those that share a line."""
    lines: list[str] = []
    for part in parts:
        longer = f"{lines[-1]} · {part}" if lines else ""
        if longer and text_width(longer, pen.size, pen.weight) <= width:
            lines[-1] = longer
        else:
            lines += wrap(part.replace(" %", _PERCENT), width, pen.size, pen.weight)
    return lines


def _set(entry: Entry, width: float, style: Style) -> _Set:
    room = width - INDENT
    heading = wrap(entry.text, room - _aside(entry, style), style.body.size, style.body.weight, entry.line_count)
    return _Set(heading, joined(entry.detail, room, style.small), 0.0 if entry.share is None else _BAR + 2)


def _aside(entry: Entry, style: Style) -> float:
    """Return what the figure at the right takes."""
    return text_width(entry.aside, style.strong.size, style.strong.weight) + _ASIDE_GAP if entry.aside else 0.0


def _draw(canvas: Canvas, box: Box, entry: Entry, parts: _Set, style: Style) -> None:
    if entry.evidence:
        draw_mark(canvas, box.x + MARK + 0.8, box.y + style.body.height / 2, entry.evidence, style.theme)
    words = box.part(INDENT, box.width - INDENT)
    pen = style.body if entry.evidence != "unknown" else Pen(style.body.size, style.theme.soft)
    top = canvas.lines(words.part(0, words.width - _aside(entry, style)), parts.heading, pen)
    if entry.aside:
        canvas.text(words, entry.aside, style.strong, "end")
    if entry.share is not None:
        track = words.line(top + 1, _BAR)
        canvas.rect(track, style.theme.rule, _BAR / 2)
        canvas.rect(track.part(0, track.width * min(max(entry.share, 0.0), 1.0)), style.theme.went_on, _BAR / 2)
        top += _BAR + 2
    canvas.lines(words.below(top), parts.detail, style.small)


FEW: Final = "(few)"
"""Said of a figure whose base is under `min_count`."""


def entries_of(cell: Cell, limit: int) -> list[Entry]:
    """Return what to say of a cell: at most `limit` of its items, and how many more there are."""
    if not cell.items:
        return [Entry(cell.evidence, unknown(cell) if cell.evidence == "unknown" else cell.note, line_count=3)]
    told = [_WORDING.get(cell.row, _plain)(item) for item in cell.items[:limit]]
    more = len(cell.items) - len(told) + cell.rest_count
    return [*told, Entry(None, "", detail=(f"and {count(more)} more",))] if more else told


def unknown(cell: Cell) -> str:
    """Return that nothing is known of a cell, and why."""
    return f"{UNKNOWN}: {cell.note}" if cell.note else UNKNOWN


def number(figure: Figure | None) -> float | None:
    """Return the value of a figure that is a number."""
    value = figure.value if figure else None
    return float(value) if isinstance(value, int | float | Decimal) else None


def ranged(figure: Figure) -> str:
    """Return a figure with its interval in brackets, and a word if its base is small."""
    ends = written_range(figure)
    parts = (written(figure), f"[{ends}]" if ends else "", FEW if figure.is_small else "")
    return " ".join(part for part in parts if part)


def outcomes(reach: Reach) -> list[tuple[str, Figure]]:
    """Return what became of those who reached a stage, in words and figures; nothing of the last stage."""
    told = [("went on", reach.went_on), ("dropped", reach.dropped), ("pending", reach.pending)]
    return [(words, figure) for words, figure in told if figure] if reach.dropped else []


def _touchpoint(item: Item) -> Entry:
    reach, lift = item.figure("reach_rate"), item.figure("lift")
    detail = [f"lift {ranged(lift)}"] if lift and lift.value is not None else []
    detail += [item.note] if item.note else []
    return Entry(item.evidence, item.text, written(reach) if reach else "", tuple(detail), number(reach), 2)


def _pain(item: Item) -> Entry:
    lost, people = item.figure("lost_count"), item.figure("person_count")
    detail = [f"≈ {ranged(lost)} lost"] if lost and lost.value is not None else []
    detail += [f"met by {written(people)}"] if people else []
    return Entry(item.evidence, item.text, detail=(*detail, *filter(None, [item.note])), line_count=2)


def _promise(item: Item) -> Entry:
    rate = item.figure("kept_rate")
    words = (("due_count", "due"), ("broken_count", "broken"), ("pending_count", "pending"))
    counts = [f"{word} {written(figure)}" for key, word in words if (figure := item.figure(key))]
    return Entry(item.evidence, item.text, detail=(*([f"kept {ranged(rate)}"] if rate else []), *counts), line_count=2)


def _plain(item: Item) -> Entry:
    return Entry(item.evidence, item.text, detail=tuple(filter(None, [item.note])), line_count=2)


_WORDING: Final[dict[RowKey, Callable[[Item], Entry]]] = {
    "touchpoints": _touchpoint,
    "pain_points": _pain,
    "promises": _promise,
}


_PERSON_BAR: Final = 16.0
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
    _draw_bar(canvas, against.below(_THIN + 3).line(0, _PERSON_BAR), reach, style.theme)
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
    return _head(style) + _THIN + _PERSON_BAR + 11


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


CURVE_HEIGHT: Final = 158.0
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
