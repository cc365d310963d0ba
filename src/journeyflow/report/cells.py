"""Cells of the map: from published rows to items and figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

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
from journeyflow.report.tables import STAGE, STEP, SUPPLIED, Row, Tables
from journeyflow.report.view_model import ALL, Cell, Evidence, Figure, Item, RowKey, Stage, Unit

MAX_ITEMS = {"touchpoints": 6, "channels": 6, "next": 4, "pain_points": 5, "promises": 5, "opportunities": 3}
"""Items that a cell shows, of next stages and next actions each; the rest is counted."""
MAX_ITEMS_ELSE = 5
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


@dataclass(frozen=True, slots=True)
class MapStage:
    """A stage of one map."""

    model: str
    persona: str
    period: str
    stage: Stage
    is_last: bool

    @property
    def key(self) -> tuple[str, str, str, str]:
        """Its key in the tables of the map."""
        return (self.model, self.persona, self.period, self.stage.key)

    @property
    def step_key(self) -> tuple[str, str, str, int]:
        """Its key in the tables of funnels."""
        return (self.model, self.persona, self.period, self.stage.index)


Reader = Callable[[Tables, MapStage], Cell]


def read_cell(key: RowKey, tables: Tables, at: MapStage) -> Cell:
    """Return the cell of a row of the map at a stage."""
    return _READERS[key](tables, at)


def _people(tables: Tables, at: MapStage) -> Cell:
    return _first_items("people", at, tables.by("map_stages", *STAGE).get(at.key, []), _reach_item, NOBODY)


def _supplied(key: RowKey, aspect: str) -> Reader:
    """Return the reader of one aspect of the supplied cells; an owner is of all personas."""

    def read(tables: Tables, at: MapStage) -> Cell:
        persona = ALL if aspect == "owner" else at.persona
        rows = tables.by("supplied_cells", *SUPPLIED).get((at.model, persona, at.stage.key, aspect), [])
        return _first_items(key, at, [row for row in rows if row.text("text")], item, NOTHING_SUPPLIED)

    def item(row: Row) -> Item:
        return Item(display_text(row.text("text"), TEXT_LENGTH), evidence="supplied")

    return read


def _most_met(key: RowKey, table: str, column: str, make: Callable[[Row], Item]) -> Reader:
    """Return the reader of a table of what people met, most people first."""

    def read(tables: Tables, at: MapStage) -> Cell:
        rows = tables.by(table, *STAGE).get(at.key, [])
        by_people = sorted(rows, key=lambda row: (-(row.values["person_count"] or 0), row.text(column)))
        return _first_items(key, at, by_people, make, NOBODY)

    return read


def _next(tables: Tables, at: MapStage) -> Cell:
    """Return the next stages and exits (known over the whole time only), and what those who dropped did."""
    limit = MAX_ITEMS["next"]
    transitions, actions = _transitions(tables, at), next_actions(tables, at.step_key)
    rest = max(len(transitions) - limit, 0) + max(len(actions) - limit, 0)
    items = [_transition_item(row) for row in transitions[:limit]] + [next_action_item(row) for row in actions[:limit]]
    return _counted_by_funnel(at, _cell("next", at, items, LAST_STAGE if at.is_last else NOBODY_LEFT, rest))


def _transitions(tables: Tables, at: MapStage) -> list[Row]:
    if at.period != ALL:
        return []
    rows = tables.by("stage_transitions", "model", "persona", "from_stage")
    found = rows.get((at.model, at.persona, at.stage.key), [])
    return sorted(found, key=lambda row: (-row.values["transition_count"], row.text("to_stage")))


def next_actions(tables: Tables, step: tuple[str, str, str, int]) -> list[Row]:
    """Return the rows of `drop_off_next` of a step, the most frequent first, the sum of the rare ones last."""
    rows = tables.by("drop_off_next", *STEP).get(step, [])
    name = "next_action"
    return sorted(rows, key=lambda row: (row.text(name) == "other", -row.values["drop_off_count"], row.text(name)))


def _time(tables: Tables, at: MapStage) -> Cell:
    rows = [row for row in tables.by("funnel_steps", *STEP).get(at.step_key, []) if row.has("p50_seconds_to_next")]
    otherwise = LAST_STAGE if at.is_last else NOBODY_ADVANCED
    return _counted_by_funnel(at, _first_items("time", at, rows, lambda row: Item("", (median_time(row),)), otherwise))


def _counted_by_funnel(at: MapStage, cell: Cell) -> Cell:
    """Add to a month's cell the note that its figures count the people of the funnel, fewer than those of the map."""
    if at.period == ALL or at.is_last:
        return cell
    return replace(cell, note="; ".join(part for part in (cell.note, COUNTED_ONCE) if part))


def _emotion(tables: Tables, at: MapStage) -> Cell:
    rows = [row for row in tables.by("stage_sentiment", *STAGE).get(at.key, []) if row.text("evidence") != "unknown"]
    measured = [row for row in rows if row.has("sentiment")]
    return _first_items("emotion", at, measured, _sentiment_item, FEW_ANSWERS if rows else NO_ANSWERS)


def _promises(tables: Tables, at: MapStage) -> Cell:
    rows = tables.by("promises", "persona", "period", "stage").get((at.persona, at.period, at.stage.key), [])
    by_name = sorted(rows, key=lambda row: row.text("promise"))
    return _first_items("promises", at, by_name, lambda row: _promise_item(row, at.model), NOTHING_PROMISED)


def _desired(tables: Tables, at: MapStage) -> Cell:
    return _first_items(
        "desired", at, tables.by("desired_gaps", *STAGE).get(at.key, []), _desired_item, NOTHING_SUPPLIED
    )


def _findings(key: RowKey, rank: str, make: Callable[[Row], Item]) -> Reader:
    """Return the reader of the table `key`; only where enough people were seen is it known that nothing was found."""

    def read(tables: Tables, at: MapStage) -> Cell:
        found = (row for row in tables.by(key, *STAGE).get(at.key, []) if key == "pain_points" or is_cause(row))
        rows = sorted(found, key=lambda row: row.values[rank])
        stages = tables.by("map_stages", *STAGE).get(at.key, [])
        is_visited = any(row.values["visited_count"] for row in stages)
        if not rows and is_visited and not at.is_last and not any(row.values["is_small"] for row in stages):
            return Cell(key, at.stage.key, "observed", note=NONE_FOUND)
        otherwise = LAST_STAGE if at.is_last else FEW_PEOPLE if is_visited else NOBODY
        return _first_items(key, at, rows, make, otherwise)

    return read


def _first_items(key: RowKey, at: MapStage, rows: Sequence[Row], make: Callable[[Row], Item], otherwise: str) -> Cell:
    limit = MAX_ITEMS.get(key, MAX_ITEMS_ELSE)
    return _cell(key, at, [make(row) for row in rows[:limit]], otherwise, max(len(rows) - limit, 0))


def _cell(key: RowKey, at: MapStage, items: Sequence[Item], otherwise: str, rest: int) -> Cell:
    if not items:
        return Cell(key, at.stage.key, note=otherwise)
    return Cell(key, at.stage.key, items[0].evidence, tuple(items), rest)


def _reach_item(row: Row) -> Item:
    return Item("", _known((*outcome_figures(row), row.figure("seen in the stage", "people", "visited_count"))))


def _touchpoint_item(row: Row) -> Item:
    """Return a touchpoint with its reach, and the rate of advancing with and without it."""
    figures = (
        row.figure("met by", "rate", "reach_rate", n="visited_count"),
        row.figure("went on, with it", "rate", "next_stage_rate", n="matured_count"),
        row.figure("lift", "ratio", "lift", ends=("lift_low", "lift_high"), n="matured_count"),
        row.figure("went on, without it", "rate", "next_stage_rate_without"),
        row.figure("q", "probability", "q_value"),
        row.figure("people", "people", "person_count"),
        row.figure("share of touches", "rate", "share_rate"),
    )
    return Item(display_text(row.text("touchpoint")), _known(figures), _small_note(row))


def _channel_item(row: Row) -> Item:
    figures = (
        row.figure("met by", "rate", "reach_rate", n="visited_count"),
        row.figure("people", "people", "person_count"),
        row.figure("share of touches", "rate", "share_rate"),
    )
    return Item(label_text(row.text("channel")), _known(figures))


def _transition_item(row: Row) -> Item:
    to_stage = row.text("to_stage")
    notes = {True: "back to an earlier stage", False: "next", None: "at the same instant"}
    note = notes[row.values["is_backward"]]
    return Item(ENDS.get(to_stage) or label_text(to_stage), _known(transition_figures(row)), note)


def next_action_item(row: Row) -> Item:
    """Return a row of `drop_off_next`."""
    name = row.text("next_action")
    figures = (
        row.figure("of those who dropped", "rate", "share_rate"),
        row.figure("people", "people", "drop_off_count"),
    )
    return Item(NEXT_ACTIONS.get(name) or display_text(name), figures, "after dropping")


def last_touchpoints(tables: Tables, step: tuple[str, str, str, int]) -> list[Row]:
    """Return the rows of `drop_offs` of a step, the most frequent first."""
    rows = tables.by("drop_offs", *STEP).get(step, [])
    return sorted(rows, key=lambda row: (-row.values["drop_off_count"], row.text("last_touchpoint")))


def last_touchpoint_item(row: Row) -> Item:
    """Return a row of `drop_offs`."""
    figures = (
        row.figure("people", "people", "drop_off_count"),
        row.figure("of those who dropped", "rate", "share_rate"),
        row.figure("of those who went on", "rate", "expected_rate"),
        row.figure("lift", "ratio", "lift"),
        row.figure("median before leaving", "seconds", "p50_seconds_before_leaving"),
        value_at_stake(row),
    )
    return Item(display_text(row.text("last_touchpoint")), _known(figures))


def _sentiment_item(row: Row) -> Item:
    evidence: Evidence = "observed" if row.text("evidence") == "observed" else "inferred"
    ends = ("sentiment_low", "sentiment_high")
    figure = row.figure("sentiment", "sentiment", "sentiment", ends=ends, n="answer_count", evidence=evidence)
    return Item("", (figure,), display_text(row.text("method"), TEXT_LENGTH), evidence)


def _pain_item(row: Row) -> Item:
    """Return a pain point; the loss is an estimate."""
    lost = ("lost_low", "lost_high")
    figures = (
        row.figure("people lost", "people", "lost_count", ends=lost, n="person_count", evidence="inferred"),
        row.figure("met it", "people", "person_count"),
        row.figure("went on", "rate", "rate", n="person_count"),
        row.figure("expected to go on", "rate", "expected_rate", n="compared_count", evidence="inferred"),
        row.figure("q", "probability", "q_value"),
        row.figure("E-value", "ratio", "e_value"),
    )
    grade = "" if row.text("grade") == row.text("kind") else row.text("grade")
    parts = (pain_kind(row), grade, _slice_beside(row), days_text(row), row.text("scope"))
    note = ", ".join(display_text(part) for part in parts if part)
    return Item(subject_text(row), _known(figures), note)


def _promise_item(row: Row, model: str) -> Item:
    """Return a promise, with the rates of advancing only in its own model."""
    unit: Unit = "rate" if row.text("kind") == "timed" else "score"
    figures = [
        row.figure("kept", "rate", "kept_rate", ends=("kept_low", "kept_high"), n="matured_count"),
        row.figure("target", unit, "target", evidence="supplied"),
        row.figure("measured", unit, "measured", n="matured_count"),
        row.figure("short of the promise", unit, "gap"),
        row.figure("due", "cases", "due_count"),
        row.figure("were kept", "cases", "kept_count"),
        row.figure("were broken", "cases", "broken_count"),
        row.figure("pending", "cases", "pending_count"),
        row.figure("first broken", "instant", "first_broken_at"),
    ]
    if row.text("model") == model:
        figures += [
            row.figure("went on, kept", "rate", "next_stage_rate_kept", n="kept_journey_count"),
            row.figure("went on, broken", "rate", "next_stage_rate_broken", n="broken_journey_count"),
        ]
    return Item(display_text(row.text("promise")), _known(figures), _small_note(row))


def _desired_item(row: Row) -> Item:
    name, unit = MEASURES.get(row.text("measure"), (display_text(row.text("measure")), "score"))
    evidences: dict[str, Evidence] = {"observed": "observed", "inferred": "inferred"}
    evidence = evidences.get(row.text("evidence"), "unknown")
    measured = ("measured_low", "measured_high")
    figures = (
        row.figure("desired", unit, "desired", evidence="supplied"),
        row.figure("measured", unit, "measured", ends=measured, n="base_count", evidence=evidence),
        row.figure("measured minus desired", unit, "gap", evidence=evidence),
    )
    is_counted_once = row.text("measure") == "p50_time" and row.text("period") != ALL
    return Item(name, figures, COUNTED_ONCE if is_counted_once else "", evidence="supplied")


def _slice_beside(row: Row) -> str:
    """Return the slice, empty where `subject_text` is the slice."""
    return "" if row.text("subject") == "entry" else row.text("slice")


def _opportunity_item(row: Row) -> Item:
    parts = (f"number {row.values['opportunity_rank']}", pain_kind(row), _slice_beside(row), days_text(row))
    note = ", ".join(display_text(part) for part in parts if part)
    return Item(subject_text(row), _known(opportunity_figures(row)[1:]), note, evidence="inferred")


def _small_note(row: Row) -> str:
    return "too few to compare" if row.values.get("is_small") else ""


def _known(figures: Iterable[Figure]) -> tuple[Figure, ...]:
    return tuple(figure for figure in figures if figure.value is not None)


def pain_kind(row: Row) -> str:
    """Return the kind of a pain point or opportunity in words."""
    return PAIN_KINDS.get(row.text("kind")) or display_text(row.text("kind"))


def subject_text(row: Row) -> str:
    """Return what persons met; of what shows at the first event of a stage, who they are."""
    if row.text("subject") == "entry":
        return display_text(row.text("slice") or "at the first event of the stage")
    return display_text(row.text("subject"))


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


def outcome_figures(row: Row) -> tuple[Figure, Figure, Figure, Figure, Figure]:
    """Return reached, advanced, dropped, pending and the drop-off rate of a row of `funnel_steps` or `map_stages`."""
    ends = ("drop_off_rate_low", "drop_off_rate_high")
    return (
        row.figure("reached", "people", "person_count"),
        row.figure("went on", "people", "converted_count"),
        row.figure("dropped", "people", "drop_off_count"),
        row.figure("pending", "people", "pending_count"),
        row.figure("drop-off", "rate", "drop_off_rate", ends=ends, n="matured_count"),
    )


def transition_figures(row: Row) -> tuple[Figure, Figure, Figure]:
    """Return share, visits and median of a row of `stage_transitions`."""
    return (
        row.figure("of ended visits", "rate", "transition_rate"),
        row.figure("visits", "visits", "transition_count"),
        row.figure("median until then", "seconds", "p50_seconds"),
    )


def opportunity_figures(row: Row) -> tuple[Figure, Figure, Figure, Figure]:
    """Return people, people lost, worth, and worth beyond the rows above; all but the first are estimates."""
    lost, worth = ("lost_low", "lost_high"), ("worth_low", "worth_high")
    return (
        row.figure("met it", "people", "person_count"),
        row.figure("people lost", "people", "lost_count", ends=lost, n="person_count", evidence="inferred"),
        row.figure("worth", "amount", "worth_amount", ends=worth, n="person_count", evidence="inferred"),
        row.figure("of it beyond the rows above", "amount", "worth_alone_amount", evidence="inferred"),
    )


def value_at_stake(row: Row) -> Figure:
    """Return the value at stake of a row of `funnel_steps` or `drop_offs`."""
    return row.figure("value at stake, at most", "amount", "value_at_stake_amount", n="drop_off_count")


def median_time(row: Row) -> Figure:
    """Return the median seconds to the next step of a row of `funnel_steps`."""
    ends = ("p10_seconds_to_next", "p90_seconds_to_next")
    return row.figure("median", "seconds", "p50_seconds_to_next", ends=ends, range_label="10th to 90th percentile")


_READERS: dict[RowKey, Reader] = {
    "people": _people,
    "goals": _supplied("goals", "goal"),
    "needs": _supplied("needs", "need"),
    "quotes": _supplied("quotes", "quote"),
    "touchpoints": _most_met("touchpoints", "touchpoints", "touchpoint", _touchpoint_item),
    "channels": _most_met("channels", "stage_channels", "channel", _channel_item),
    "next": _next,
    "time": _time,
    "emotion": _emotion,
    "pain_points": _findings("pain_points", "pain_rank", _pain_item),
    "promises": _promises,
    "desired": _desired,
    "opportunities": _findings("opportunities", "opportunity_rank", _opportunity_item),
    "owner": _supplied("owner", "owner"),
}
