"""The rows of the journey map with the figures of each, compiled to `insights.map_figures`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from journeyflow.engines.base import text
from journeyflow.models.model import python_model

Evidence = Literal["observed", "inferred", "supplied", "unknown"]
"""How a cell is known: counted, concluded by a method, supplied in the configuration, or not at all."""
Unit = Literal[
    "people", "visits", "events", "answers", "cases", "items", "rate", "points", "ratio", "seconds", "sentiment",
    "score", "amount", "probability", "instant",
]  # fmt: skip
"""What a value counts or measures. `rate` is a fraction to be shown as a percentage, `points` the
difference of two; `instant` is naive UTC."""
RowKey = Literal[
    "people", "goals", "needs", "quotes", "touchpoints", "channels", "next", "time", "emotion", "pain_points",
    "promises", "desired", "opportunities", "owner",
]  # fmt: skip

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
    "funnel_trend": ("funnel", "persona", "entry_date", "step_index"),
    "rate_changes": ("funnel", "dimension", "slice", "period", "step_index"),
    "pending_forecast": ("funnel", "persona", "step_index"),
    "retention": ("start", "persona", "channel", "cohort", "age_index", "rule"),
    "attribution": ("goal", "method", "persona", "channel", "period"),
    "paths": ("model", "persona", "path_rank"),
}
"""The grains of the tables that figures come from."""
_CELL_ROW = {"model": "model", "persona": "persona", "period": "period", "stage": "stage"}
_STEP = {"model": "funnel", "persona": "persona", "period": "period", "stage_index": "step_index"}
_MOST_ITEMS = 5
UNITS_WITH_MINIMUM = ("rate", "points", "ratio", "probability")
SHARES_OF_ALL_VISITORS = ("reach_rate", "share_rate")
"""`is_small` describes the matured groups that the other rates compare."""


@dataclass(frozen=True, slots=True)
class MapFigure:
    """One figure of an item: a column of a published table, with the columns of its range and of its base.

    `unit_by` names a column and the unit for each of its values; others have `unit`. The evidence is that of the column
    `evidence` of the row where it says so. A figure of the `own_model` is known in maps of the row's model only.
    """

    column: str
    label: str
    unit: Unit
    ends: tuple[str, str] | None = None
    n: str | None = None
    evidence: Evidence | Literal["of the row"] = "observed"
    unit_by: tuple[str, Mapping[str, Unit]] | None = None
    own_model: bool = False
    range_label: str = "95 % interval"


@dataclass(frozen=True, slots=True)
class MapItems:
    """Where the items of a row of the map come from: rows of one published table, joined to the cells of the map.

    `on` maps columns of the cell (`marts.map_stages`) to those of the table, `where` and `where_not` hold values that
    columns must and must not have. `order` is the order of the items, columns with ``-`` from large to small; the item
    `last` comes after all others. Figures without a value are left out, unless the items have `has_unknown`.
    """

    table: str
    figures: tuple[MapFigure, ...] = ()
    item: str | None = None
    on: Mapping[str, str] = field(default_factory=lambda: _CELL_ROW)
    where: Mapping[str, str] = field(default_factory=dict)
    where_not: Mapping[str, str] = field(default_factory=dict)
    order: tuple[str, ...] = ()
    last: str | None = None
    most_items: int = _MOST_ITEMS
    has_small: bool = False
    whole_time_only: bool = False
    has_unknown: bool = False


@dataclass(frozen=True, slots=True)
class MapRowDefinition:
    """A row of the map: its key, its label, what it holds in a sentence, and where its items come from."""

    key: RowKey
    label: str
    hint: str
    items: tuple[MapItems, ...]


def _supplied(aspect: str) -> tuple[MapItems, ...]:
    on = {"model": "model", "persona": "persona", "stage": "stage"}
    return (MapItems("supplied_cells", item="text", on=on, where={"aspect": aspect}, order=("text",)),)


OUTCOMES = (
    MapFigure("person_count", "reached", "people"),
    MapFigure("converted_count", "went on", "people"),
    MapFigure("drop_off_count", "dropped", "people"),
    MapFigure("pending_count", "pending", "people"),
    MapFigure("drop_off_rate", "drop-off", "rate", ("drop_off_rate_low", "drop_off_rate_high"), "matured_count"),
)
"""Figures of a row of `map_stages` or `funnel_steps`."""
TRANSITION = (
    MapFigure("transition_rate", "of ended visits", "rate"),
    MapFigure("transition_count", "visits", "visits"),
    MapFigure("p50_seconds", "median until then", "seconds"),
)
MEDIAN = MapFigure(
    "p50_seconds_to_next",
    "median",
    "seconds",
    ("p10_seconds_to_next", "p90_seconds_to_next"),
    range_label="10th to 90th percentile",
)
MET_IT = MapFigure("person_count", "met it", "people")
LOST = MapFigure("lost_count", "people lost", "people", ("lost_low", "lost_high"), "person_count", "inferred")
WORTH = (
    MapFigure("worth_amount", "worth", "amount", ("worth_low", "worth_high"), "person_count", "inferred"),
    MapFigure("worth_alone_amount", "of it beyond the rows above", "amount", evidence="inferred"),
)

MAP_ROWS: tuple[MapRowDefinition, ...] = (
    MapRowDefinition(
        "people",
        "People reached",
        "Who reached the stage or a later one: went on, dropped, or pending (still may).",
        (
            MapItems(
                "map_stages",
                (*OUTCOMES, MapFigure("visited_count", "seen in the stage", "people")),
                has_small=True,
            ),
        ),
    ),
    MapRowDefinition("goals", "Goals", "What people want here, as stated in the configuration.", _supplied("goal")),
    MapRowDefinition("needs", "Needs", "What people need here, as stated in the configuration.", _supplied("need")),
    MapRowDefinition("quotes", "Quotes", "What people say here, as stated in the configuration.", _supplied("quote")),
    MapRowDefinition(
        "touchpoints",
        "Touchpoints",
        "What people met in the stage, online and offline, by the share of visitors it met.",
        (
            MapItems(
                "touchpoints",
                (
                    MapFigure("reach_rate", "met by", "rate", n="visited_count"),
                    MapFigure("next_stage_rate", "went on, with it", "rate", n="matured_count"),
                    MapFigure("lift", "lift", "ratio", ("lift_low", "lift_high"), "matured_count"),
                    MapFigure("next_stage_rate_without", "went on, without it", "rate"),
                    MapFigure("q_value", "q", "probability"),
                    MapFigure("person_count", "people", "people"),
                    MapFigure("share_rate", "share of touches", "rate"),
                ),
                item="touchpoint",
                order=("-person_count", "touchpoint"),
                most_items=6,
                has_small=True,
            ),
        ),
    ),
    MapRowDefinition(
        "channels",
        "Channels",
        "Where they met it.",
        (
            MapItems(
                "stage_channels",
                (
                    MapFigure("reach_rate", "met by", "rate", n="visited_count"),
                    MapFigure("person_count", "people", "people"),
                    MapFigure("share_rate", "share of touches", "rate"),
                ),
                item="channel",
                order=("-person_count", "channel"),
                most_items=6,
            ),
        ),
    ),
    MapRowDefinition(
        "next",
        "What they do next",
        "Where a visit of the stage led, and what those who dropped did afterwards.",
        (
            MapItems(
                "stage_transitions",
                TRANSITION,
                item="to_stage",
                on={"model": "model", "persona": "persona", "stage": "from_stage"},
                order=("-transition_count", "to_stage"),
                most_items=4,
                whole_time_only=True,
            ),
            MapItems(
                "drop_off_next",
                (
                    MapFigure("share_rate", "of those who dropped", "rate"),
                    MapFigure("drop_off_count", "people", "people"),
                ),
                item="next_action",
                on=_STEP,
                order=("-drop_off_count", "next_action"),
                last="other",
                most_items=4,
            ),
        ),
    ),
    MapRowDefinition(
        "time",
        "Time to the next stage",
        "Median of those who went on, with the 10th and the 90th percentile.",
        (MapItems("funnel_steps", (MEDIAN,), on=_STEP, has_small=True),),
    ),
    MapRowDefinition(
        "emotion",
        "Emotion",
        "From -1 (bad) to 1 (good): answers to surveys observed, text and behaviour inferred.",
        (
            MapItems(
                "stage_sentiment",
                (
                    MapFigure(
                        "sentiment",
                        "sentiment",
                        "sentiment",
                        ("sentiment_low", "sentiment_high"),
                        "answer_count",
                        "of the row",
                    ),
                ),
                where_not={"evidence": "unknown"},
            ),
        ),
    ),
    MapRowDefinition(
        "pain_points",
        "Pain points",
        "What costs people here: incidents, gaps, things met, broken promises.",
        (
            MapItems(
                "pain_points",
                (
                    LOST,
                    MET_IT,
                    MapFigure("rate", "went on", "rate", n="person_count"),
                    MapFigure("expected_rate", "expected to go on", "rate", n="compared_count", evidence="inferred"),
                    MapFigure("q_value", "q", "probability"),
                    MapFigure("e_value", "E-value", "ratio"),
                ),
                item="subject",
                order=("pain_rank",),
            ),
        ),
    ),
    MapRowDefinition(
        "promises",
        "Promise against delivery",
        "What was promised here, and how often it was kept.",
        (
            MapItems(
                "promises",
                (
                    MapFigure("kept_rate", "kept", "rate", ("kept_low", "kept_high"), "matured_count"),
                    MapFigure("target", "target", "score", evidence="supplied", unit_by=("kind", {"timed": "rate"})),
                    MapFigure("measured", "measured", "score", n="matured_count", unit_by=("kind", {"timed": "rate"})),
                    MapFigure("gap", "short of the promise", "score", unit_by=("kind", {"timed": "rate"})),
                    MapFigure("due_count", "due", "cases"),
                    MapFigure("kept_count", "were kept", "cases"),
                    MapFigure("broken_count", "were broken", "cases"),
                    MapFigure("pending_count", "pending", "cases"),
                    MapFigure("first_broken_at", "first broken", "instant"),
                    MapFigure("next_stage_rate_kept", "went on, kept", "rate", n="kept_journey_count", own_model=True),
                    MapFigure(
                        "next_stage_rate_broken", "went on, broken", "rate", n="broken_journey_count", own_model=True
                    ),
                ),
                item="promise",
                on={"persona": "persona", "period": "period", "stage": "stage"},
                order=("promise",),
                has_small=True,
            ),
        ),
    ),
    MapRowDefinition(
        "desired",
        "Desired against measured",
        "The journey wished for, beside the measured one.",
        (
            MapItems(
                "desired_gaps",
                tuple(
                    MapFigure(
                        column,
                        label,
                        "rate",
                        ("measured_low", "measured_high") if column == "measured" else None,
                        "base_count" if column == "measured" else None,
                        "supplied" if column == "desired" else "of the row",
                        ("measure", {"p50_time": "seconds", "sentiment": "sentiment"}),
                    )
                    for column, label in (
                        ("desired", "desired"),
                        ("measured", "measured"),
                        ("gap", "measured minus desired"),
                    )
                ),
                item="measure",
                order=("measure",),
                has_unknown=True,
            ),
        ),
    ),
    MapRowDefinition(
        "opportunities",
        "Opportunities",
        "What fixing it is worth: an estimate, not a forecast.",
        (
            MapItems(
                "opportunities",
                (LOST, *WORTH),
                item="subject",
                where_not={"grade": "association"},
                order=("opportunity_rank",),
                most_items=3,
            ),
        ),
    ),
    MapRowDefinition(
        "owner",
        "Owner",
        "Who looks after the stage.",
        (
            MapItems(
                "supplied_cells",
                item="text",
                on={"model": "model", "stage": "stage"},
                where={"aspect": "owner"},
                order=("text",),
            ),
        ),
    ),
)
"""The rows of a map, in the order in which they are shown."""


_INSIGHTS = ("desired_gaps", "opportunities", "pain_points")
"""Tables of this layer; the others are marts."""
_CELL = "cells.model, cells.persona, cells.period, cells.stage"
_TEXT = MapFigure("text", "", "items", evidence="supplied")
"""The figure of an item that is only a text."""


@python_model("insights.map_figures")
def map_figures() -> str:
    """Return the SELECT of every figure of every map.

    Positions count the figures of a cell; what an item lacks leaves a gap.
    """
    ranked: list[str] = []
    selects: list[str] = []
    for row in MAP_ROWS:
        position = 1
        for items in row.items:
            name = f"{row.key}_{items.table}"
            ranked.append(f"{name} as ({_ranked(items)})")
            selects.append(_select(row.key, items, name, position))
            position += items.most_items * max(len(items.figures), 1)
    return f"with {', '.join(ranked)} {' union all '.join(selects)}"


def _ranked(items: MapItems) -> str:
    """Return the SELECT of the rows of a table in the cells of the map, with their rank in the cell."""
    joined = [f"source.{column} = cells.{cell}" for cell, column in items.on.items()]
    kept = [f"source.{column} = {text(value)}" for column, value in items.where.items()]
    kept += [f"source.{column} <> {text(value)}" for column, value in items.where_not.items()]
    kept += ["cells.period = 'all'"] if items.whole_time_only else []
    order = [f"case when source.{items.item} = {text(items.last)} then 1 else 0 end"] if items.last else []
    order += [f"source.{column[1:]} desc" if column[0] == "-" else f"source.{column}" for column in items.order]
    rank = f"row_number() over (partition by {_CELL} order by {', '.join(order)})" if order else "1"
    layer = "insights" if items.table in _INSIGHTS else "marts"
    columns = [f"source.{name} as source_{name}" for name in sorted(set(_columns(items)))]
    return (
        f"select {', '.join([_CELL, f'{rank} as item_rank', *columns])} from marts.map_stages as cells "
        f"inner join {layer}.{items.table} as source on {' and '.join(joined)}"
        + (f" where {' and '.join(kept)}" if kept else "")
    )


def _columns(items: MapItems) -> Iterator[str]:
    """Yield the columns of the table that figures, keys and flags are made of."""
    yield from GRAINS[items.table]
    yield from [items.item] if items.item else []
    yield from ["is_small"] if items.has_small else []
    for figure in items.figures:
        yield figure.column
        yield from figure.ends or ()
        yield from [figure.n] if figure.n else []
        yield from [figure.unit_by[0]] if figure.unit_by else []
        yield from ["evidence"] if figure.evidence == "of the row" else []
        yield from ["currency"] if figure.unit == "amount" else []
        yield from ["model"] if figure.own_model else []


def _select(key: RowKey, items: MapItems, ranked: str, position: int) -> str:
    """Return the SELECT of the figures of one kind of item; the first has `position` in the cell."""
    figures = items.figures or (_TEXT,)
    columns = {
        "row": text(key),
        "position": f"{position} + figure_ix + (item_rank - 1) * {len(figures)}",
        "item": f"source_{items.item}" if items.item else _null("varchar"),
        "figure": _by_figure(text(each.column) for each in figures),
        "value": _by_figure(_value(each) for each in figures),
        "low": _by_figure(_number(each.ends and each.ends[0]) for each in figures),
        "high": _by_figure(_number(each.ends and each.ends[1]) for each in figures),
        "n": _by_figure(f"cast({f'source_{each.n}' if each.n else 'null'} as bigint)" for each in figures),
        "unit": _by_figure(_null("varchar") if each is _TEXT else _unit(each) for each in figures),
        "evidence": _by_figure(_evidence(each) for each in figures),
        "currency": _by_figure("source_currency" if each.unit == "amount" else _null("varchar") for each in figures),
        "is_small": _by_figure(_is_small(each, items) for each in figures),
        "source_table": text(items.table),
        "source_key": _source_key(items),
    }
    listed = ", ".join(f"{expression} as {name}" for name, expression in columns.items())
    numbers = ", ".join(f"({at})" for at in range(len(figures)))
    select = (
        f"select model, persona, period, stage, {listed} from {ranked} "
        f"cross join (values {numbers}) as figures (figure_ix) where item_rank <= {items.most_items}"
    )
    has_all = items.has_unknown or not items.figures
    return select if has_all else f"select * from ({select}) as known where value is not null"


def _by_figure(expressions: Iterable[str]) -> str:
    """Return the expression of each figure, by its number `figure_ix`."""
    listed = list(expressions)
    if len(set(listed)) == 1:
        return listed[0]
    return f"case figure_ix {' '.join(f'when {at} then {each}' for at, each in enumerate(listed))} end"


def _null(kind: str) -> str:
    return f"cast(null as {kind})"


def _value(figure: MapFigure) -> str:
    """Return the value as a number, an instant as seconds since 1970."""
    if figure is _TEXT:
        return _number(None)
    value = f"epoch(source_{figure.column})" if figure.unit == "instant" else _number(figure.column)
    return f"case when source_model = model then {value} end" if figure.own_model else value


def _number(column: str | None) -> str:
    return f"cast(source_{column} as double)" if column else _null("double")


def _unit(figure: MapFigure) -> str:
    if figure.unit_by is None:
        return text(figure.unit)
    column, units = figure.unit_by
    whens = " ".join(f"when {text(value)} then {text(unit)}" for value, unit in units.items())
    return f"case source_{column} {whens} else {text(figure.unit)} end"


def _evidence(figure: MapFigure) -> str:
    return "source_evidence" if figure.evidence == "of the row" else text(figure.evidence)


def _is_small(figure: MapFigure, items: MapItems) -> str:
    units = {figure.unit, *(figure.unit_by[1].values() if figure.unit_by else ())}
    if not items.has_small or figure.column in SHARES_OF_ALL_VISITORS or not units & {*UNITS_WITH_MINIMUM}:
        return "false"
    return f"source_is_small and {_unit(figure)} in ({', '.join(map(text, UNITS_WITH_MINIMUM))})"


def _source_key(items: MapItems) -> str:
    """Return the key of the row of the table as a JSON object."""
    parts = []
    for column in GRAINS[items.table]:
        name = f"source_{column}"
        is_number = column.endswith(("_rank", "_index"))
        value = name if is_number else rf"""'"', replace(replace({name}, '\', '\\'), '"', '\"'), '"'"""
        parts.append(f"""'"{column}":', {value}""")
    listed = ", ',', ".join(parts)
    return f"concat('{{', {listed}, '}}')"
