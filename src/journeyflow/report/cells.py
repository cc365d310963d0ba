"""Cells of the map: from rows of the published tables to items and figures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from journeyflow.compile.map_figures import (
    GRAINS,
    LOST,
    MAP_ROWS,
    MEDIAN,
    MET_IT,
    OUTCOMES,
    SHARES_OF_ALL_VISITORS,
    STEP,
    TRANSITION,
    UNITS_WITH_MINIMUM,
    WORTH,
    Evidence,
    MapFigure,
    MapItems,
    MapRowDefinition,
    RowKey,
)
from journeyflow.report.formatting import (
    COUNTED_ONCE,
    ENDS,
    GRADES,
    MEASURES,
    NEXT_ACTIONS,
    PAIN_KINDS,
    TEXT_LENGTH,
    display_text,
    label_text,
)
from journeyflow.report.view_model import ALL, Cell, Figure, FigureSource, Item, Key, Stage
from journeyflow.utils.formatting import Labels

if TYPE_CHECKING:
    from journeyflow.publish.reader import PublishedTables


_EVIDENCE_WORDS: dict[str, Evidence] = {"observed": "observed", "inferred": "inferred"}


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
        return _EVIDENCE_WORDS.get(self.text("evidence"), "unknown")


NOBODY = "nobody was seen here"
NOBODY_LEFT = "nobody is known to have gone from here"
NOBODY_ADVANCED = "nobody seen here went on"
LAST_STAGE = "the last stage: nothing comes after it"
NOTHING_SUPPLIED = "nothing is supplied"
NOTHING_PROMISED = "nothing was promised here"
NO_ANSWERS = "no answers, text or behaviour to read"
FEW_ANSWERS = "too few answers to tell"
NONE_FOUND = "none was found"
FEW_PEOPLE = "too few people to tell"
VALUE_AT_STAKE = MapFigure("value_at_stake_amount", "value at stake, at most", "amount", n="drop_off_count")
_LAST_TOUCHPOINT = (
    MapFigure("drop_off_count", "people", "people"),
    MapFigure("share_rate", "of those who dropped", "rate"),
    MapFigure("expected_rate", "of those who went on", "rate"),
    MapFigure("lift", "lift", "ratio"),
    MapFigure("p50_seconds_before_leaving", "median before leaving", "seconds"),
    VALUE_AT_STAKE,
)
_DIRECTIONS = {True: "back to an earlier stage", False: "next", None: "at the same instant"}
_NEXT_ACTIONS = next(row for row in MAP_ROWS if row.key == "next").items[-1]
_OTHERWISE: dict[RowKey, str] = {
    "people": NOBODY,
    "touchpoints": NOBODY,
    "channels": NOBODY,
    "next": NOBODY_LEFT,
    "time": NOBODY_ADVANCED,
    "promises": NOTHING_PROMISED,
}
"""Why a cell is empty; of what is supplied nothing is."""
_EVIDENCES: dict[RowKey, Evidence] = {
    "goals": "supplied",
    "needs": "supplied",
    "quotes": "supplied",
    "desired": "supplied",
    "opportunities": "inferred",
    "owner": "supplied",
}
"""How the items of a row are known, where they are not observed."""


@dataclass(frozen=True, slots=True)
class MapStage:
    """A stage of one map."""

    model: str
    persona: str
    period: str
    stage: Stage
    is_last: bool

    def values(self, columns: Sequence[str]) -> tuple[str | int, ...]:
        """Return its values of columns of `map_stages`."""
        known = {"model": self.model, "persona": self.persona, "period": self.period, "stage": self.stage.key}
        return tuple(self.stage.index if column == "stage_index" else known[column] for column in columns)


def read_cell(row: MapRowDefinition, tables: Tables, at: MapStage) -> Cell:
    """Return the cell of a row of the map at a stage."""
    items, rest_count = [], 0
    for source in row.items:
        found = _rows(source, tables, at)
        items += [_item(row.key, source, each, at, tables.labels) for each in found[: source.most_items]]
        rest_count += max(len(found) - source.most_items, 0)
    if items:
        cell = Cell(row.key, at.stage.key, items[0].evidence, tuple(items), rest_count)
    else:
        evidence, note = _reason(row.key, tables, at)
        cell = Cell(row.key, at.stage.key, evidence, note=note)
    if row.key in ("next", "time") and at.period != ALL and not at.is_last:
        # A month's figures count the people of the funnel, fewer than those of the map.
        return replace(cell, note="; ".join(part for part in (cell.note, COUNTED_ONCE) if part))
    return cell


def _rows(source: MapItems, tables: Tables, at: MapStage) -> list[Row]:
    """Return the rows of a cell in their order."""
    if source.whole_time_only and at.period != ALL:
        return []
    rows = tables.by(source.table, *source.on.values()).get(at.values(tuple(source.on)), [])
    kept = [row for row in rows if _is_shown(source, row)]
    return _ordered(source, kept) if len(kept) > 1 else kept


def _is_shown(source: MapItems, row: Row) -> bool:
    return (
        all(row.text(column) == value for column, value in source.where.items())
        and all(row.text(column) != value for column, value in source.where_not.items())
        and (bool(row.text(source.item)) if source.item else any(row.has(each.column) for each in source.figures))
    )


def _ordered(source: MapItems, rows: list[Row]) -> list[Row]:
    def key(row: Row) -> list[Any]:
        is_last = source.last is not None and row.text(source.item or "") == source.last
        return [
            is_last,
            *(-(row.values[name[1:]] or 0) if name[0] == "-" else row.values[name] for name in source.order),
        ]

    return sorted(rows, key=key)


def _item(key: RowKey, source: MapItems, row: Row, at: MapStage, labels: Labels) -> Item:
    figures = [figure for figure in source.figures if not figure.own_model or row.text("model") == at.model]
    evidence = row.evidence if key == "emotion" else _EVIDENCES.get(key, "observed")
    shown = tuple(map(row.figure, figures)) if source.has_unknown else row.known(figures)
    return Item(_text(source, row, labels), shown, _note(key, source, row), evidence)


def _text(source: MapItems, row: Row, labels: Labels) -> str:
    """Return what an item is called; empty where it is the stage itself."""
    name = row.text(source.item) if source.item else ""
    if source.table == "stage_channels":
        return label_text(name)
    if source.table == "stage_transitions":
        return ENDS.get(name) or labels.stage(row.text("model"), display_text(name))
    if source.table == "drop_off_next":
        return NEXT_ACTIONS.get(name) or labels.touchpoint(display_text(name))
    if source.table == "desired_gaps":
        return MEASURES.get(name) or display_text(name)
    if source.item == "subject":
        return subject_text(row, labels)
    if source.table == "supplied_cells":
        return display_text(name, TEXT_LENGTH)
    return labels.touchpoint(display_text(name))


def _note(key: RowKey, source: MapItems, row: Row) -> str:
    """Return what is said beside an item."""
    parts: tuple[str, ...] = ()
    # Where the subject is the first event of the stage, the slice is the item's text.
    values = "" if row.text("subject") == "entry" else row.text("slice")
    if key in ("touchpoints", "promises"):
        parts = ("too few to compare" if row.values.get("is_small") else "",)
    elif source.table == "stage_transitions":
        parts = (_DIRECTIONS[row.values["is_backward"]],)
    elif source.table == "drop_off_next":
        parts = ("after dropping",)
    elif key == "emotion":
        return display_text(row.text("method"), TEXT_LENGTH)
    elif key == "pain_points":
        grade = "" if row.text("grade") == row.text("kind") else row.text("grade")
        parts = (pain_kind(row), grade, values, days_text(row), row.text("scope"))
    elif key == "opportunities":
        parts = (f"number {row.values['opportunity_rank']}", pain_kind(row), values, days_text(row))
    elif key == "desired" and row.text("measure") == "p50_time" and row.text("period") != ALL:
        parts = (COUNTED_ONCE,)
    return ", ".join(display_text(part) for part in parts if part)


def _reason(key: RowKey, tables: Tables, at: MapStage) -> tuple[Evidence, str]:
    """Return how it is known that a cell has no items, and the reason."""
    if key in ("pain_points", "opportunities"):
        stages = _of_stage(tables, "map_stages", at)
        is_visited = any(row.values["visited_count"] for row in stages)
        if is_visited and not at.is_last and not any(row.values["is_small"] for row in stages):
            return "observed", NONE_FOUND  # Only where enough people were seen is it known that nothing was found.
        return "unknown", LAST_STAGE if at.is_last else FEW_PEOPLE if is_visited else NOBODY
    if key in ("next", "time") and at.is_last:
        return "unknown", LAST_STAGE
    if key == "emotion":
        asked = [row for row in _of_stage(tables, "stage_sentiment", at) if row.text("evidence") != "unknown"]
        return "unknown", FEW_ANSWERS if asked else NO_ANSWERS
    return "unknown", _OTHERWISE.get(key, NOTHING_SUPPLIED)


def _of_stage(tables: Tables, table: str, at: MapStage) -> list[Row]:
    columns = GRAINS[table]
    return tables.by(table, *columns).get(at.values(columns), [])


def next_actions(tables: Tables, step: tuple[str, str, str, int]) -> list[Row]:
    """Return the rows of `drop_off_next` of a step, the most frequent first, the sum of the rare ones last."""
    return _ordered(_NEXT_ACTIONS, tables.by("drop_off_next", *STEP).get(step, []))


def next_action_item(row: Row, labels: Labels) -> Item:
    """Return a row of `drop_off_next`."""
    return Item(_text(_NEXT_ACTIONS, row, labels), row.known(_NEXT_ACTIONS.figures), "after dropping")


def last_touchpoints(tables: Tables, step: tuple[str, str, str, int]) -> list[Row]:
    """Return the rows of `drop_offs` of a step, the most frequent first."""
    rows = tables.by("drop_offs", *STEP).get(step, [])
    return sorted(rows, key=lambda row: (-row.values["drop_off_count"], row.text("last_touchpoint")))


def last_touchpoint_item(row: Row, labels: Labels) -> Item:
    """Return a row of `drop_offs`."""
    return Item(labels.touchpoint(display_text(row.text("last_touchpoint"))), row.known(_LAST_TOUCHPOINT))


def pain_kind(row: Row) -> str:
    """Return the kind of a pain point or opportunity in words."""
    return PAIN_KINDS.get(row.text("kind")) or display_text(row.text("kind"))


def subject_text(row: Row, labels: Labels) -> str:
    """Return what persons met; of what shows at the first event of a stage, who they are."""
    if row.text("subject") == "entry":
        return display_text(row.text("slice") or "at the first event of the stage")
    return labels.touchpoint(display_text(row.text("subject")))


def grade_text(row: Row) -> str:
    """Return the grade of a pain point or opportunity in words."""
    return GRADES.get(row.text("grade")) or display_text(row.text("grade"))


def is_cause(row: Row) -> bool:
    """Whether a row is more than an association, which is no opportunity."""
    return row.text("grade") != "association"


def days_text(row: Row) -> str:
    """Return the span of a pain point or opportunity, empty where it has none."""
    first, last = row.text("first_day"), row.text("last_day")
    if not first:
        return ""
    if row.values.get("is_ongoing"):
        return f"since {first}"
    return first if last in ("", first) else f"{first} to {last}"


def outcome_figures(row: Row) -> tuple[Figure, ...]:
    """Return reached, advanced, dropped, pending and the drop-off rate of a row of `funnel_steps` or `map_stages`."""
    return tuple(map(row.figure, OUTCOMES))


def transition_figures(row: Row) -> tuple[Figure, ...]:
    """Return share, visits and median of a row of `stage_transitions`."""
    return tuple(map(row.figure, TRANSITION))


def opportunity_figures(row: Row) -> tuple[Figure, ...]:
    """Return people, people lost, worth, and worth beyond the rows above; all but the first are estimates."""
    return tuple(map(row.figure, (MET_IT, LOST, *WORTH)))


def value_at_stake(row: Row) -> Figure:
    """Return the value at stake of a row of `funnel_steps` or `drop_offs`."""
    return row.figure(VALUE_AT_STAKE)


def median_time(row: Row) -> Figure:
    """Return the median seconds to the next step of a row of `funnel_steps`."""
    return row.figure(MEDIAN)
