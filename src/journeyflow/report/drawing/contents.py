"""What the picture says in each cell: the entries that the cells of a map become."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Final

from journeyflow.report.atlas import Cell, Figure, Item, Reach, RowKey
from journeyflow.report.drawing.entries import Entry
from journeyflow.report.words import UNKNOWN, written, written_range
from journeyflow.text import count

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
