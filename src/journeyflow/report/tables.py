"""Rows of the published tables with their keys; each table is read once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from journeyflow.config.map_rows import GRAINS, SHARES_OF_ALL_VISITORS, UNITS_WITH_MINIMUM, Evidence, MapFigure
from journeyflow.report.formatting import display_text
from journeyflow.report.view_model import Figure, FigureSource, Key
from journeyflow.utils.formatting import Labels

if TYPE_CHECKING:
    from journeyflow.publish.reader import PublishedTables

_EVIDENCES: dict[str, Evidence] = {"observed": "observed", "inferred": "inferred"}


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
    def labels(self) -> Labels:
        """What people read in place of names, with escapes for invisible characters."""
        rows = self.rows("labels")
        return Labels.of_rows({key: value and display_text(value) for key, value in row.values.items()} for row in rows)

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
    relation: str = ""

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

    def figure(self, figure: MapFigure) -> Figure:
        """Return a figure of the row."""
        values = self.values
        column, ends, n = figure.column, figure.ends, figure.n
        columns = (column, *(ends or ()), *((n,) if n else ()))
        low, high = (values.get(ends[0]), values.get(ends[1])) if ends else (None, None)
        unit = figure.unit
        if figure.unit_by is not None:
            unit = figure.unit_by[1].get(self.text(figure.unit_by[0]), unit)
        return Figure(
            label=figure.label,
            value=values.get(column),
            unit=unit,
            source=FigureSource(self.table, self.where, columns, relation=self.relation),
            low=low,
            high=high,
            n=values.get(n) if n else None,
            evidence=self.evidence if figure.evidence == "of the row" else figure.evidence,
            currency=values.get("currency") if unit == "amount" else None,
            is_small=bool(values.get("is_small"))
            and unit in UNITS_WITH_MINIMUM
            and column not in SHARES_OF_ALL_VISITORS,
            range_label=figure.range_label,
        )

    def known(self, figures: Iterable[MapFigure]) -> tuple[Figure, ...]:
        """Return those of the figures that have a value."""
        return tuple(found for found in map(self.figure, figures) if found.value is not None)

    @property
    def evidence(self) -> Evidence:
        """How the row says it is known."""
        return _EVIDENCES.get(self.text("evidence"), "unknown")
