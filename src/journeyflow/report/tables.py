"""Rows of the published tables with their keys; each table is read once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from journeyflow.report.view_model import Evidence, Figure, FigureSource, Key, Unit

if TYPE_CHECKING:
    from journeyflow.publish.reader import PublishedTables


MAP = ("model", "persona", "period")
STAGE = (*MAP, "stage")
STEP = ("funnel", "persona", "period", "step_index")
SUPPLIED = ("model", "persona", "stage", "aspect")
GRAINS: dict[str, tuple[str, ...]] = {
    "map_stages": STAGE,
    "funnel_steps": STEP,
    "drop_offs": (*STEP, "last_touchpoint"),
    "drop_off_next": (*STEP, "next_action"),
    "stage_transitions": ("model", "persona", "from_stage", "to_stage"),
    "personas": ("persona",),
    "runs": ("run_id",),
    "touchpoints": (*STAGE, "touchpoint"),
    "stage_channels": (*STAGE, "channel"),
    "stage_sentiment": STAGE,
    "pain_points": (*MAP, "pain_rank"),
    "promises": ("promise", "persona", "period"),
    "opportunities": (*MAP, "opportunity_rank"),
    "blind_spots": ("kind", "subject"),
    "supplied_cells": SUPPLIED,
    "desired_gaps": (*STAGE, "measure"),
}
"""The grains of the tables that figures come from."""

_UNITS_WITH_MINIMUM = ("rate", "ratio", "probability")
_SHARES_OF_ALL_VISITORS = ("reach_rate", "share_rate")
"""`is_small` describes the matured groups that the other rates compare."""


class Tables:
    """The tables of one open generation; those that it lacks count as empty."""

    def __init__(self, published: PublishedTables) -> None:
        self.published = published
        self._grouped: dict[tuple[str, ...], dict[Any, list[Row]]] = {}

    def rows(self, table: str) -> Iterator[Row]:
        """Yield the rows of a table in its order."""
        if table in self.published.tables:
            yield from (Row(table, values) for values in self.published.table(table).iter_rows(named=True))

    def by(self, table: str, *columns: str) -> dict[Any, list[Row]]:
        """Return the rows of a table grouped by columns; the key is a tuple, of a single column its value."""
        key = (table, *columns)
        if key not in self._grouped:
            grouped: dict[Any, list[Row]] = {}
            for row in self.rows(table):
                found = tuple(row.values[column] for column in columns)
                grouped.setdefault(found if len(found) > 1 else found[0], []).append(row)
            self._grouped[key] = grouped
        return self._grouped[key]

    @cached_property
    def meanings(self) -> dict[str, str]:
        """The description of each column by ``table.column``."""
        return {
            f"{row.text('table_name')}.{row.text('column_name')}": row.text("meaning")
            for row in self.rows("dictionary")
            if row.text("table_name") in GRAINS
        }


@dataclass(slots=True)
class Row:
    """A row of a published table; its figures share one key."""

    table: str
    values: dict[str, Any]
    _where: tuple[tuple[str, Key], ...] | None = None

    @property
    def where(self) -> tuple[tuple[str, Key], ...]:
        """The columns and values of its key."""
        if self._where is None:
            self._where = tuple([(key, self.values[key]) for key in GRAINS[self.table]])
        return self._where

    def text(self, column: str) -> str:
        """Return a raw text, empty for null and for a column that the table lacks."""
        return str(self.values.get(column) or "")

    def has(self, column: str) -> bool:
        """Whether the column is there and not null."""
        return self.values.get(column) is not None

    def figure(
        self,
        label: str,
        unit: Unit,
        column: str,
        *,
        ends: tuple[str, str] | None = None,
        n: str | None = None,
        evidence: Evidence = "observed",
        range_label: str = "95 % interval",
    ) -> Figure:
        """Return the figure of `column`; `ends` and `n` name the columns of its range and of its base."""
        values = self.values
        columns = (column, *(ends or ()), *((n,) if n else ()))
        low, high = (values.get(ends[0]), values.get(ends[1])) if ends else (None, None)
        return Figure(
            label=label,
            value=values.get(column),
            unit=unit,
            source=FigureSource(self.table, self.where, columns),
            low=low,
            high=high,
            n=values.get(n) if n else None,
            evidence=evidence,
            currency=values.get("currency") if unit == "amount" else None,
            is_small=bool(values.get("is_small"))
            and unit in _UNITS_WITH_MINIMUM
            and column not in _SHARES_OF_ALL_VISITORS,
            range_label=range_label,
        )
