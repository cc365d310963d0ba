"""Published tables as rows with their keys, each table read once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from journeyflow.report.view_model import Evidence, Figure, FigureSource, Key, Unit

if TYPE_CHECKING:
    import polars as pl

    from journeyflow.publish.reader import PublishedTables


MAP = ("model", "persona", "period")
STAGE = (*MAP, "stage")
STEP = ("funnel", "persona", "period", "step_index")
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
    "supplied_cells": ("model", "persona", "stage", "aspect"),
    "desired_gaps": (*STAGE, "measure"),
}
"""The grains of the tables that figures come from."""
INTERVAL = "95 % interval"
PERCENTILES = "10th to 90th percentile"

_JUDGED = ("rate", "ratio", "probability")
_OF_EVERYBODY = ("reach_rate", "share_rate")
"""Shares whose base is everybody in the stage; `is_small` speaks of the matured groups that rates compare."""


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
            values = self.values
            self._where = tuple([(key, values[key]) for key in GRAINS[self.table]])
        return self._where

    def word(self, column: str) -> str:
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
        range_label: str = INTERVAL,
    ) -> Figure:
        """Return the figure of `column`, with the columns of its range and of its base."""
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
            is_small=bool(values.get("is_small")) and unit in _JUDGED and column not in _OF_EVERYBODY,
            range_label=range_label,
        )


class Tables:
    """What is read of one generation.

    Parameters
    ----------
    published : Published
        An open generation; tables that it lacks count as empty.
    """

    def __init__(self, published: PublishedTables) -> None:
        self.published = published
        self._grouped: dict[tuple[str, ...], dict[Any, list[Row]]] = {}

    def rows(self, table: str) -> Iterator[Row]:
        """Yield the rows of a table in its order."""
        if table in self.published.tables:
            yield from (Row(table, values) for values in self.published.table(table).iter_rows(named=True))

    def frame(self, table: str) -> pl.DataFrame:
        """Return a table whole."""
        return self.published.table(table)

    def by(self, table: str, *columns: str) -> dict[Any, list[Row]]:
        """Return the rows of a table by the values of some columns (a tuple; of one column the value)."""
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
        """What the columns of the tables say, by ``table.column``."""
        return {
            f"{row.word('table_name')}.{row.word('column_name')}": row.word("meaning")
            for row in self.rows("dictionary")
            if row.word("table_name") in GRAINS
        }
