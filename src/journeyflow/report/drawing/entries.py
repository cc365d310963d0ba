"""The entries of a cell: a mark, words, figures and a bar, measured before they are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from journeyflow.report.atlas import Evidence
from journeyflow.report.drawing.canvas import Box, Canvas, Pen
from journeyflow.report.drawing.lettering import ELLIPSIS, text_width, wrap
from journeyflow.report.drawing.style import MARK, Style, draw_mark

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
