"""Entries of a map as lines of text, for forms that have nothing to hover over."""

from __future__ import annotations

from journeyflow.report.atlas import Cell, Figure, Item, RowKey
from journeyflow.report.words import UNKNOWN, written, written_range

_MOST: dict[RowKey, int] = {"people": 5, "promises": 5}
"""Figures of an entry that a line tells, where it is not three."""


def figure_line(figure: Figure) -> str:
    """Return a figure with its range and its base: ``lift 1.25 (1.10 to 1.42, n 380)``."""
    spread = written_range(figure)
    base = "" if figure.n is None else f"n {figure.n:,}"
    mark = "small group" if figure.is_small else ""
    beside = ", ".join(part for part in (spread, base, mark) if part)
    return f"{figure.label} {written(figure)}" + (f" ({beside})" if beside else "")


def item_line(item: Item, most: int | None = None) -> str:
    """Return an entry with its first figures in one line."""
    figures = "; ".join(figure_line(figure) for figure in item.figures[:most])
    head = (
        f"{item.text} [{item.note}]"
        if item.text and item.note
        else item.text or (f"[{item.note}]" if item.note else "")
    )
    return ": ".join(part for part in (head, figures) if part)


def cell_lines(cell: Cell) -> list[str]:
    """Return a cell as lines; an unknown one says so, and why where that can be said."""
    if cell.evidence == "unknown":
        return [f"{UNKNOWN}: {cell.note}" if cell.note else UNKNOWN]
    rest = [f"and {cell.rest_count:,} more"] if cell.rest_count else []
    note = [cell.note] if cell.note else []
    return [*(item_line(item, _MOST.get(cell.row, 3)) for item in cell.items), *rest, *note, f"({cell.evidence})"]
