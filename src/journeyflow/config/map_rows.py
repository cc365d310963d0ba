"""The rows of the journey map and the figures of each: what the page shows, and what `map_figures` publishes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

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
_CELL = {"model": "model", "persona": "persona", "period": "period", "stage": "stage"}
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
    on: Mapping[str, str] = field(default_factory=lambda: _CELL)
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
