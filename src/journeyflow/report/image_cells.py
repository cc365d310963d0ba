"""Cells of the picture: entries, people reached, and the emotion curve."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import pairwise
from typing import Final

from journeyflow.config.map_rows import Evidence, RowKey
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
from journeyflow.report.formatting import UNKNOWN, figure_text, range_text, unknown_text
from journeyflow.report.view_model import Cell, Figure, Item, StageReach
from journeyflow.utils.formatting import count

CURVE_HEIGHT: Final = 158.0
INDENT: Final = 15.0
_ENTRY_GAP: Final = 7.0
_ASIDE_GAP: Final = 8.0
_SHARE_BAR: Final = 5.0
_PERCENT: Final = "\N{NO-BREAK SPACE}%"
_FEW: Final = "(few)"
"""Added to a figure whose base is under `min_count`."""
_LAST_STAGE: Final = "the last stage"
_OUTCOME_BAR: Final = 16.0
_REACH_BAR: Final = 4.0
_SWATCH: Final = 10.0
_SWATCH_INDENT: Final = 14.0
_SWATCH_GAP: Final = 12.0
_CURVE_EDGE: Final = 22.0
_POINT: Final = 6.5
_LABEL_OFFSET: Final = 12.0
_LABEL_LINES: Final = 2
_SCALE_WIDTH: Final = 30.0


def number(figure: Figure | None) -> float | None:
    """Return the value of a figure that is a number."""
    value = figure.value if figure else None
    return float(value) if isinstance(value, int | float | Decimal) else None


def _with_range(figure: Figure) -> str:
    """Return a figure with its interval in brackets, and a word if its base is small."""
    ends = range_text(figure)
    parts = (figure_text(figure), f"[{ends}]" if ends else "", _FEW if figure.is_small else "")
    return " ".join(part for part in parts if part)


def draw_people(canvas: Canvas, box: Box, reach: StageReach | None, widest: float, style: Style) -> None:
    """Draw who reached one stage, None if unknown; a thin bar over the whole box stands for `widest` people."""
    if reach is None or number(reach.reached) is None:
        draw_entries(canvas, box, [Entry("unknown", UNKNOWN)], style)
        return
    head = _head_height(style)
    width = canvas.text(box.below(head - style.number.height), figure_text(reach.reached), style.number)
    _draw_drop_off(canvas, box.part(width + 10, box.width - width - 10), reach, style)
    track = box.line(head + 3, _REACH_BAR)
    canvas.rect(track, style.theme.rule, 1)
    canvas.rect(track.part(0, _ratio(number(reach.reached), widest) * box.width), style.theme.ink, 1)
    _draw_outcome_bar(canvas, track.below(_REACH_BAR + 3).line(0, _OUTCOME_BAR), reach, style.theme)
    _draw_outcome_counts(canvas, box.below(_bars_height(style)), reach, style)


def people_height(reaches: list[StageReach | None], width: float, style: Style) -> float:
    """Return the height of the row of people."""
    lines = max((len(_outcome_lines(reach, width, style)) for reach in reaches if reach), default=1)
    return _bars_height(style) + max(lines, 1) * style.small.height


def _head_height(style: Style) -> float:
    """Return the height of the number and the two lines beside it."""
    return max(style.number.height, 2 * style.small.height)


def _bars_height(style: Style) -> float:
    """Return the height of the number and the bars."""
    return _head_height(style) + _REACH_BAR + _OUTCOME_BAR + 11


def _draw_drop_off(canvas: Canvas, box: Box, reach: StageReach, style: Style) -> None:
    if reach.drop_off is None:
        return
    rate, _, interval = _with_range(reach.drop_off).partition(" [")
    top = _head_height(style) - 2 * style.small.height
    canvas.text(box.below(top), f"{rate} drop off", style.small)
    canvas.text(box.below(top + style.small.height), f"[{interval}" if interval else "", style.small)


def _draw_outcome_bar(canvas: Canvas, box: Box, reach: StageReach, theme: Theme) -> None:
    """Draw the outcomes over the whole width; for the last stage, which cannot be left, an empty bar."""
    canvas.rect(box, theme.band, 1, theme.rule)
    left = 0.0
    for label, figure in _outcomes(reach):
        length = _ratio(number(figure), number(reach.reached)) * box.width
        if length:
            canvas.rect(box.part(left, length), outcome_fills(theme)[label], stroke=theme.ground)
        left += length


def _draw_outcome_counts(canvas: Canvas, box: Box, reach: StageReach, style: Style) -> None:
    """Write the counts behind a square filled like their part of the bar."""
    if not _outcomes(reach):
        canvas.text(box, _LAST_STAGE, style.small)
    for row, counts in enumerate(_outcome_lines(reach, box.width, style)):
        line, left = box.line(row * style.small.height, style.small.height), 0.0
        for label, text in counts:
            swatch = Box(line.x + left, line.y + (line.height - _SWATCH) / 2, _SWATCH, _SWATCH)
            canvas.rect(swatch, outcome_fills(style.theme)[label], 1, style.theme.soft)
            place = line.part(left + _SWATCH_INDENT, line.width - left - _SWATCH_INDENT)
            left += _SWATCH_INDENT + canvas.text(place, text, style.small) + _SWATCH_GAP


def _outcome_lines(reach: StageReach, width: float, style: Style) -> list[list[tuple[str, str]]]:
    """Return the counts, by label, in as few lines as possible."""
    lines: list[list[tuple[str, str]]] = []
    left = 0.0
    for label, figure in _outcomes(reach):
        text = f"{label} {figure_text(figure)}"
        needed = _SWATCH_INDENT + text_width(text, style.small.size)
        if not lines or left + needed > width:
            lines.append([])
            left = 0.0
        lines[-1].append((label, text))
        left += needed + _SWATCH_GAP
    return lines


def _outcomes(reach: StageReach) -> list[tuple[str, Figure]]:
    """Return the outcomes of those who reached a stage, by label; none for the last stage."""
    outcomes = [("went on", reach.advanced), ("dropped", reach.dropped), ("pending", reach.pending)]
    return [(label, figure) for label, figure in outcomes if figure] if reach.dropped else []


def outcome_fills(theme: Theme) -> dict[str, str]:
    """Return the fill of the bar of each outcome."""
    return {"went on": theme.advanced, "dropped": DROPPED_PATTERN, "pending": PENDING_PATTERN}


def _ratio(part: float | None, whole: float | None) -> float:
    return min((part or 0) / whole, 1.0) if whole else 0.0


@dataclass(frozen=True, slots=True)
class Entry:
    """One item as drawn: a mark, a text with a figure at its right, a bar from 0 to 1, and further figures.

    Each part of `detail` stays in one line as long as it fits; `line_count` limits the lines of `text`.
    """

    evidence: Evidence | None
    text: str
    aside: str = ""
    detail: tuple[str, ...] = ()
    share: float | None = None
    line_count: int = 1


def entries_of(cell: Cell, limit: int) -> list[Entry]:
    """Return the entries of a cell: at most `limit` of its items, and how many more there are."""
    if not cell.items:
        return [Entry(cell.evidence, unknown_text(cell) if cell.evidence == "unknown" else cell.note, line_count=3)]
    entries = [_ENTRIES.get(cell.row, _plain_entry)(item) for item in cell.items[:limit]]
    more = len(cell.items) - len(entries) + cell.rest_count
    return [*entries, Entry(None, "", detail=(f"and {count(more)} more",))] if more else entries


def _touchpoint_entry(item: Item) -> Entry:
    reach, lift = item.figure("reach_rate"), item.figure("lift")
    detail = [f"lift {_with_range(lift)}"] if lift and lift.value is not None else []
    detail += [item.note] if item.note else []
    return Entry(item.evidence, item.text, figure_text(reach) if reach else "", tuple(detail), number(reach), 2)


def _pain_entry(item: Item) -> Entry:
    lost, people = item.figure("lost_count"), item.figure("person_count")
    detail = [f"≈ {_with_range(lost)} lost"] if lost and lost.value is not None else []
    detail += [f"of {figure_text(people)}"] if people else []
    return Entry(item.evidence, item.text, detail=(*detail, *filter(None, [item.note])), line_count=2)


def _promise_entry(item: Item) -> Entry:
    rate = item.figure("kept_rate")
    labels = (("due_count", "due"), ("broken_count", "broken"), ("pending_count", "pending"))
    counts = [f"{label} {figure_text(figure)}" for key, label in labels if (figure := item.figure(key))]
    kept = [f"kept {_with_range(rate)}"] if rate else []
    return Entry(item.evidence, item.text, detail=(*kept, *counts), line_count=2)


def _plain_entry(item: Item) -> Entry:
    return Entry(item.evidence, item.text, detail=tuple(filter(None, [item.note])), line_count=2)


_ENTRIES: Final[dict[RowKey, Callable[[Item], Entry]]] = {
    "touchpoints": _touchpoint_entry,
    "pain_points": _pain_entry,
    "promises": _promise_entry,
}


def draw_entries(canvas: Canvas, box: Box, entries: Sequence[Entry], style: Style) -> None:
    """Draw the entries from the top of the box; one without room loses lines from its end."""
    left = box
    for entry in entries:
        layout = _layout(entry, box.width, style)
        while layout.height(style) > left.height + 0.1 and (layout.detail or len(layout.heading) > 1):
            layout = layout.shortened()
        _draw_entry(canvas, left, entry, layout, style)
        left = left.below(layout.height(style) + _ENTRY_GAP)


def entries_height(entries: Sequence[Entry], width: float, style: Style) -> float:
    """Return the height of entries under one another."""
    heights = sum(_layout(entry, width, style).height(style) for entry in entries)
    return heights + _ENTRY_GAP * max(len(entries) - 1, 0)


@dataclass(frozen=True, slots=True)
class _Layout:
    """An entry broken into the lines of a width."""

    heading: list[str]
    detail: list[str]
    bar: float

    def height(self, style: Style) -> float:
        """The height of the entry."""
        return len(self.heading) * style.body.height + self.bar + len(self.detail) * style.small.height

    def shortened(self) -> _Layout:
        """Return a line less, the detail first."""
        if self.detail:
            return replace(self, detail=_without_last_line(self.detail))
        return replace(self, heading=_without_last_line(self.heading))


def _layout(entry: Entry, width: float, style: Style) -> _Layout:
    room = width - INDENT
    heading = wrap(entry.text, room - _aside_width(entry, style), style.body.size, style.body.weight, entry.line_count)
    detail = _joined_parts(entry.detail, room, style.small)
    return _Layout(heading, detail, 0.0 if entry.share is None else _SHARE_BAR + 2)


def _without_last_line(lines: list[str]) -> list[str]:
    """Return the lines without the last, with an ellipsis in its place."""
    return [*lines[:-2], *(f"{line.rstrip(ELLIPSIS)}{ELLIPSIS}" for line in lines[-2:-1])]


def _joined_parts(parts: Sequence[str], width: float, pen: Pen) -> list[str]:
    """Return the parts in as few lines as possible, with a dot between those that share a line."""
    lines: list[str] = []
    for part in parts:
        longer = f"{lines[-1]} · {part}" if lines else ""
        if longer and text_width(longer, pen.size, pen.weight) <= width:
            lines[-1] = longer
        else:
            lines += wrap(part.replace(" %", _PERCENT), width, pen.size, pen.weight)
    return lines


def _aside_width(entry: Entry, style: Style) -> float:
    return text_width(entry.aside, style.strong.size, style.strong.weight) + _ASIDE_GAP if entry.aside else 0.0


def _draw_entry(canvas: Canvas, box: Box, entry: Entry, layout: _Layout, style: Style) -> None:
    if entry.evidence:
        draw_mark(canvas, box.x + MARK + 0.8, box.y + style.body.height / 2, entry.evidence, style.theme)
    words = box.part(INDENT, box.width - INDENT)
    pen = style.body if entry.evidence != "unknown" else Pen(style.body.size, style.theme.soft)
    top = canvas.lines(words.part(0, words.width - _aside_width(entry, style)), layout.heading, pen)
    if entry.aside:
        canvas.text(words, entry.aside, style.strong, "end")
    if entry.share is not None:
        track = words.line(top + 1, _SHARE_BAR)
        bar = track.part(0, track.width * min(max(entry.share, 0.0), 1.0))
        canvas.rect(track, style.theme.rule, _SHARE_BAR / 2)
        canvas.rect(bar, style.theme.advanced, _SHARE_BAR / 2)
        top += _SHARE_BAR + 2
    canvas.lines(words.below(top), layout.detail, style.small)


@dataclass(frozen=True, slots=True)
class _Point:
    """A known sentiment and its position; y grows downwards."""

    x: float
    y: float
    top: float
    bottom: float
    figure: Figure
    item: Item


def draw_curve(canvas: Canvas, columns: Sequence[Box], cells: Sequence[Cell], style: Style) -> None:
    """Draw the emotion curve over the columns of the row, from left to right."""
    _draw_scale(canvas, columns, style)
    points = [_point(box, cell) for box, cell in zip(columns, cells, strict=True)]
    for left, right in pairwise(points):
        if left and right:
            _connect(canvas, left, right, style.theme)
    for box, cell, point, following in zip(columns, cells, points, [*points[1:], None], strict=True):
        with canvas.cell(box):
            if point:
                _draw_point(canvas, point, style.theme)
                _draw_point_label(canvas, box, point, following, style)
            else:
                _draw_unknown(canvas, box, cell, style)


def _draw_scale(canvas: Canvas, columns: Sequence[Box], style: Style) -> None:
    first, pen = columns[0], style.small
    for sentiment, dashes in ((1, "2 4"), (0, "none"), (-1, "2 4")):
        y = _level(first, sentiment)
        canvas.line([(first.x, y), (columns[-1].right, y)], style.theme.rule, 1.2, dashes)
        with canvas.cell(Box(first.x - _SCALE_WIDTH - 6, y - pen.height / 2, _SCALE_WIDTH, pen.height)) as words:
            canvas.text(words, f"{sentiment:+d}" if sentiment else "0", pen, "end")


def _level(box: Box, sentiment: float) -> float:
    """Return the height at which a sentiment is drawn."""
    plot = box.inset(0, _CURVE_EDGE)
    return plot.y + plot.height * (1 - max(-1.0, min(1.0, sentiment))) / 2


def _point(box: Box, cell: Cell) -> _Point | None:
    figure = cell.items[0].figure("sentiment") if cell.items else None
    value = number(figure)
    if figure is None or value is None:
        return None
    low, high = (end if isinstance(end, int | float) else value for end in (figure.low, figure.high))
    return _Point(box.middle, _level(box, value), _level(box, high), _level(box, low), figure, cell.items[0])


def _connect(canvas: Canvas, left: _Point, right: _Point, theme: Theme) -> None:
    """Connect two neighbours and shade their intervals; the line is solid only between observed points."""
    corners = [(left.x, left.top), (right.x, right.top), (right.x, right.bottom), (left.x, left.bottom)]
    canvas.shape(corners, theme.curve, 0.12)
    is_observed = left.figure.evidence == right.figure.evidence == "observed"
    canvas.line([(left.x, left.y), (right.x, right.y)], theme.curve, 2.6, "none" if is_observed else "7 5")


def _draw_point(canvas: Canvas, point: _Point, theme: Theme) -> None:
    canvas.line([(point.x, point.top), (point.x, point.bottom)], theme.curve, 1.6)
    for end in (point.top, point.bottom):
        canvas.line([(point.x - 5, end), (point.x + 5, end)], theme.curve, 1.6)
    draw_mark(canvas, point.x, point.y, point.figure.evidence, theme, _POINT)


def _draw_point_label(canvas: Canvas, box: Box, point: _Point, following: _Point | None, style: Style) -> None:
    """Write the value to the right of the point, on the side that the curve turns away from."""
    width = box.right - point.x - _LABEL_OFFSET
    base = [f"n {point.figure.n:,}"] if point.figure.n is not None else []
    lines = _joined_parts([*base, *filter(None, [point.item.note])], width, style.small)
    while len(lines) > _LABEL_LINES:
        lines = _without_last_line(lines)
    height = style.strong.height + len(lines) * style.small.height
    is_rising = following is not None and following.y < point.y
    top = point.y + 3 if is_rising else point.y - height - 3
    place = Box(point.x + _LABEL_OFFSET, max(box.y, min(top, box.bottom - height)), width, height)
    canvas.text(place, figure_text(point.figure), style.strong, halo=style.theme.ground)
    canvas.lines(place.below(style.strong.height), lines, style.small, halo=style.theme.ground)


def _draw_unknown(canvas: Canvas, box: Box, cell: Cell, style: Style) -> None:
    """Write at the middle, in place of the line, that nothing is known, and why."""
    entry = Entry("unknown", unknown_text(cell), line_count=3)
    width = min(text_width(entry.text, style.body.size) + INDENT + 1, box.width - 8)
    height = entries_height([entry], width, style)
    place = Box(box.middle - width / 2, _level(box, 0) - height / 2, width, height)
    canvas.rect(Box(place.x - 6, place.y, width + 12, height), style.theme.ground)
    draw_entries(canvas, place, [entry], style)
