"""Cells of the map: from published rows to entries."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from journeyflow.report.formatting import COUNTED_ONCE, ENDS, MEASURES, NEXT_ACTIONS, PAIN_KINDS, TEXT_LENGTH, shown
from journeyflow.report.tables import PERCENTILES, STAGE, STEP, Row, Tables
from journeyflow.report.view_model import ALL, Cell, Evidence, Figure, Item, RowKey, Stage, Unit


def outcome_figures(row: Row) -> tuple[Figure, Figure, Figure, Figure, Figure]:
    """Return reached, went on, dropped, pending and the drop-off rate of a row of `funnel_steps` or `map_stages`."""
    return (
        row.figure("reached", "people", "person_count"),
        row.figure("went on", "people", "converted_count"),
        row.figure("dropped", "people", "drop_off_count"),
        row.figure("pending", "people", "pending_count"),
        row.figure(
            "drop-off", "rate", "drop_off_rate", ends=("drop_off_rate_low", "drop_off_rate_high"), n="matured_count"
        ),
    )


def seen(row: Row) -> Figure:
    """Return how many were seen in the stage of a row of `map_stages`."""
    return row.figure("seen in the stage", "people", "visited_count")


def at_stake(row: Row) -> Figure:
    """Return the value at stake of a row of `funnel_steps` or `drop_offs`."""
    return row.figure("value at stake, at most", "amount", "value_at_stake_amount", n="drop_off_count")


def median_time(row: Row) -> Figure:
    """Return the median seconds to the next step of a row of `funnel_steps`."""
    ends = ("p10_seconds_to_next", "p90_seconds_to_next")
    return row.figure("median", "seconds", "p50_seconds_to_next", ends=ends, range_label=PERCENTILES)


def touchpoint(row: Row) -> Item:
    """Return a row of `touchpoints`: whom it met, and the rate of going on with and without it."""
    figures = (
        row.figure("met by", "rate", "reach_rate", n="visited_count"),
        row.figure("went on, with it", "rate", "next_stage_rate", n="matured_count"),
        row.figure("lift", "ratio", "lift", ends=("lift_low", "lift_high"), n="matured_count"),
        row.figure("went on, without it", "rate", "next_stage_rate_without"),
        row.figure("q", "probability", "q_value"),
        row.figure("people", "people", "person_count"),
        row.figure("share of touches", "rate", "share_rate"),
    )
    return Item(shown(row.word("touchpoint")), known(figures), _too_few(row))


def channel(row: Row) -> Item:
    """Return a row of `stage_channels`."""
    figures = (
        row.figure("met by", "rate", "reach_rate", n="visited_count"),
        row.figure("people", "people", "person_count"),
        row.figure("share of touches", "rate", "share_rate"),
    )
    return Item(shown(row.word("channel")), known(figures))


def move(row: Row) -> Item:
    """Return a row of `stage_transitions`."""
    to_stage = row.word("to_stage")
    note = "back to an earlier stage" if row.values["is_backward"] else "next"
    return Item(ENDS.get(to_stage) or shown(to_stage), known(move_figures(row)), note)


def move_figures(row: Row) -> tuple[Figure, Figure, Figure]:
    """Return share, visits and median of a row of `stage_transitions`."""
    return (
        row.figure("of ended visits", "rate", "transition_rate"),
        row.figure("visits", "visits", "transition_count"),
        row.figure("median until then", "seconds", "p50_seconds"),
    )


def next_action(row: Row) -> Item:
    """Return a row of `drop_off_next`."""
    name = row.word("next_action")
    figures = (
        row.figure("of those who dropped", "rate", "share_rate"),
        row.figure("people", "people", "drop_off_count"),
    )
    return Item(NEXT_ACTIONS.get(name) or shown(name), figures, "after dropping")


def last_touchpoint(row: Row) -> Item:
    """Return a row of `drop_offs`."""
    figures = (
        row.figure("people", "people", "drop_off_count"),
        row.figure("of those who dropped", "rate", "share_rate"),
        row.figure("of those who went on", "rate", "expected_rate"),
        row.figure("lift", "ratio", "lift"),
        row.figure("median before leaving", "seconds", "p50_seconds_before_leaving"),
        at_stake(row),
    )
    return Item(shown(row.word("last_touchpoint")), known(figures))


def sentiment(row: Row) -> Item:
    """Return a row of `stage_sentiment` that has a sentiment."""
    evidence: Evidence = "observed" if row.word("evidence") == "observed" else "inferred"
    ends = ("sentiment_low", "sentiment_high")
    figure = row.figure("sentiment", "sentiment", "sentiment", ends=ends, n="answer_count", evidence=evidence)
    return Item("", (figure,), shown(row.word("method"), TEXT_LENGTH), evidence)


def pain_point(row: Row) -> Item:
    """Return a row of `pain_points`; what is lost is an estimate."""
    figures = (
        row.figure(
            "conversions lost", "cases", "lost_count", ends=("lost_low", "lost_high"), n="matured_count",
            evidence="inferred",
        ),
        row.figure("people", "people", "person_count"),
        row.figure("drop-off", "rate", "drop_off_rate", n="matured_count"),
        row.figure(f"drop-off of {shown(row.word('compared_with')) or 'their peers'}", "rate", "baseline_rate"),
        row.figure("excess", "rate", "excess_rate"),
        row.figure("q", "probability", "q_value"),
    )  # fmt: skip
    kind = row.word("kind")
    note = ", ".join(part for part in (PAIN_KINDS.get(kind, shown(kind)), shown(row.word("scope"))) if part)
    return Item(shown(row.word("pain_point")), known(figures), note)


def promise(row: Row, model: str) -> Item:
    """Return a row of `promises`; the rates of going on only in the promise's own model."""
    unit: Unit = "rate" if row.word("kind") == "timed" else "score"
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
    if row.word("model") == model:
        figures += [
            row.figure("went on, kept", "rate", "next_stage_rate_kept", n="kept_journey_count"),
            row.figure("went on, broken", "rate", "next_stage_rate_broken", n="broken_journey_count"),
        ]
    return Item(shown(row.word("promise")), known(figures), _too_few(row))


def desired_item(row: Row) -> Item:
    """Return a row of `desired_gaps`."""
    name, unit = MEASURES.get(row.word("measure"), (shown(row.word("measure")), "score"))
    known_as: dict[str, Evidence] = {"observed": "observed", "inferred": "inferred"}
    blind_spot = known_as.get(row.word("evidence"), "unknown")
    figures = (
        row.figure("desired", unit, "desired", evidence="supplied"),
        row.figure(
            "measured", unit, "measured", ends=("measured_low", "measured_high"), n="base_count", evidence=blind_spot
        ),
        row.figure("measured minus desired", unit, "gap", evidence=blind_spot),
    )
    is_funnel_s = row.word("measure") == "p50_time" and row.word("period") != ALL
    return Item(name, figures, COUNTED_ONCE if is_funnel_s else "", evidence="supplied")


def gain(row: Row) -> Item:
    """Return a row of `opportunities`."""
    kind = row.word("kind")
    return Item(
        shown(row.word("subject")),
        known(gain_figures(row)[1:]),
        f"number {row.values['opportunity_rank']}, {PAIN_KINDS.get(kind) or shown(kind)}",
        evidence="inferred",
    )


def gain_figures(row: Row) -> tuple[Figure, Figure, Figure]:
    """Return people, conversions lost and worth of a row of `opportunities`; the latter two are estimates."""
    lost, worth = ("lost_low", "lost_high"), ("worth_low", "worth_high")
    return (
        row.figure("people", "people", "person_count"),
        row.figure("conversions lost", "cases", "lost_count", ends=lost, n="person_count", evidence="inferred"),
        row.figure("worth", "amount", "worth_amount", ends=worth, n="person_count", evidence="inferred"),
    )


def blind_spot(row: Row) -> Item:
    """Return a row of `supplied_cells`."""
    return Item(shown(row.word("text"), TEXT_LENGTH), evidence="supplied")


def known(figures: Iterable[Figure]) -> tuple[Figure, ...]:
    """Return the figures that have a value."""
    return tuple(figure for figure in figures if figure.value is not None)


def _too_few(row: Row) -> str:
    return "too few to compare" if row.values.get("is_small") else ""


MOST = {"touchpoints": 6, "channels": 6, "next": 4, "pain_points": 5, "promises": 5, "opportunities": 3}
"""Entries that a cell shows, of next stages and next actions each; the rest is counted."""
MOST_ELSE = 5
NOBODY = "nobody was seen here"
NOBODY_LEFT = "nobody is known to have gone from here"
LAST_STAGE = "the last stage: nothing comes after it"
NOTHING_SUPPLIED = "nothing is supplied"
NO_ANSWERS = "no answers, text or behaviour to read"
FEW_ANSWERS = "too few answers to tell"
NONE_FOUND = "none was found"
FEW_PEOPLE = "too few people to tell"


@dataclass(frozen=True, slots=True)
class Place:
    """A stage of one map."""

    model: str
    persona: str
    period: str
    stage: Stage
    is_last: bool

    @property
    def at(self) -> tuple[str, str, str, str]:
        """Model, persona, period and stage."""
        return (self.model, self.persona, self.period, self.stage.key)

    @property
    def step(self) -> tuple[str, str, str, int]:
        """The key of its row in the tables of funnels."""
        return (self.model, self.persona, self.period, self.stage.index)


Reader = Callable[[Tables, Place], Cell]


def people(tables: Tables, place: Place) -> Cell:
    """Who reached the stage, and what became of them."""
    rows = tables.by("map_stages", *STAGE).get(place.at, [])
    return _listed("people", place, rows, _reach, NOBODY)


def _reach(row: Row) -> Item:
    return Item("", known((*outcome_figures(row), seen(row))))


def supplied(key: RowKey, aspect: str) -> Reader:
    """Return the reader of one aspect of the cells that people supply."""

    def read(tables: Tables, place: Place) -> Cell:
        persona = ALL if aspect == "owner" else place.persona
        of_cell = tables.by("supplied_cells", "model", "persona", "stage", "aspect")
        rows = of_cell.get((place.model, persona, place.stage.key, aspect), [])
        return _listed(key, place, [row for row in rows if row.word("text")], blind_spot, NOTHING_SUPPLIED)

    return read


def touchpoints(tables: Tables, place: Place) -> Cell:
    """What people met in the stage, the most met first."""
    rows = _most_met(tables.by("touchpoints", *STAGE).get(place.at, []), "touchpoint")
    return _listed("touchpoints", place, rows, touchpoint, NOBODY)


def channels(tables: Tables, place: Place) -> Cell:
    """Where people met it, the most met first."""
    rows = _most_met(tables.by("stage_channels", *STAGE).get(place.at, []), "channel")
    return _listed("channels", place, rows, channel, NOBODY)


def _most_met(rows: Sequence[Row], name: str) -> list[Row]:
    return sorted(rows, key=lambda row: (-(row.values["person_count"] or 0), row.word(name)))


def following(tables: Tables, place: Place) -> Cell:
    """What came next: stages and exits (known over the whole time only), and what those who dropped did."""
    most = MOST["next"]
    moves, actions = _moves(tables, place), next_actions(tables, place.step)
    rest = max(len(moves) - most, 0) + max(len(actions) - most, 0)
    entries = [move(row) for row in moves[:most]] + [next_action(row) for row in actions[:most]]
    return _of_funnel(place, _cell("next", place, entries, LAST_STAGE if place.is_last else NOBODY_LEFT, rest))


def _moves(tables: Tables, place: Place) -> list[Row]:
    if place.period != ALL:
        return []
    rows = tables.by("stage_transitions", "model", "persona", "from_stage")
    found = rows.get((place.model, place.persona, place.stage.key), [])
    return sorted(found, key=lambda row: (-row.values["transition_count"], row.word("to_stage")))


def next_actions(tables: Tables, step: tuple[str, str, str, int]) -> list[Row]:
    """Return the rows of `drop_off_next` of a step, the most frequent first, the sum of the rare ones last."""
    rows = tables.by("drop_off_next", *STEP).get(step, [])
    names = "next_action"
    return sorted(rows, key=lambda row: (row.word(names) == "other", -row.values["drop_off_count"], row.word(names)))


def time(tables: Tables, place: Place) -> Cell:
    """How long those who went on took to the next stage."""
    rows = tables.by("funnel_steps", *STEP).get(place.step, [])
    timed = [row for row in rows if row.has("p50_seconds_to_next")]
    otherwise = LAST_STAGE if place.is_last else "nobody seen here went on"
    found = _listed("time", place, timed, lambda row: Item("", (median_time(row),)), otherwise)
    return _of_funnel(place, found)


def _of_funnel(place: Place, cell: Cell) -> Cell:
    """Say of a month's cell that its figures are of the people of the funnel, who are fewer than those of the map."""
    if place.period == ALL or place.is_last:
        return cell
    return replace(cell, note="; ".join(part for part in (cell.note, COUNTED_ONCE) if part))


def emotion(tables: Tables, place: Place) -> Cell:
    """How people felt, and how that is known."""
    rows = [row for row in tables.by("stage_sentiment", *STAGE).get(place.at, []) if row.word("evidence") != "unknown"]
    told = [row for row in rows if row.has("sentiment")]
    return _listed("emotion", place, told, sentiment, FEW_ANSWERS if rows else NO_ANSWERS)


def pain_points(tables: Tables, place: Place) -> Cell:
    """Where people are lost, loop, wait or fail, by conversions lost."""
    rows = tables.by("pain_points", *STAGE).get(place.at, [])
    ranked = sorted(rows, key=lambda row: row.values["pain_rank"])
    return _searched("pain_points", tables, place, ranked, pain_point)


def promises(tables: Tables, place: Place) -> Cell:
    """What was promised in the stage, and how it went."""
    rows = tables.by("promises", "persona", "period", "stage").get((place.persona, place.period, place.stage.key), [])
    named = sorted(rows, key=lambda row: row.word("promise"))
    return _listed("promises", place, named, lambda row: promise(row, place.model), "nothing was promised here")


def desired(tables: Tables, place: Place) -> Cell:
    """The journey that people wish for, beside the measured one and the gap."""
    return _listed(
        "desired", place, tables.by("desired_gaps", *STAGE).get(place.at, []), desired_item, NOTHING_SUPPLIED
    )


def opportunities(tables: Tables, place: Place) -> Cell:
    """What mending the stage's pain points and promises is worth."""
    rows = tables.by("opportunities", *STAGE).get(place.at, [])
    ranked = sorted(rows, key=lambda row: row.values["opportunity_rank"])
    return _searched("opportunities", tables, place, ranked, gain)


READERS: dict[RowKey, Reader] = {
    "people": people,
    "goals": supplied("goals", "goal"),
    "needs": supplied("needs", "need"),
    "quotes": supplied("quotes", "quote"),
    "touchpoints": touchpoints,
    "channels": channels,
    "next": following,
    "time": time,
    "emotion": emotion,
    "pain_points": pain_points,
    "promises": promises,
    "desired": desired,
    "opportunities": opportunities,
    "owner": supplied("owner", "owner"),
}
"""Reader of each row of a map."""


def _listed(key: RowKey, place: Place, rows: Sequence[Row], make: Callable[[Row], Item], otherwise: str) -> Cell:
    most = MOST.get(key, MOST_ELSE)
    return _cell(key, place, [make(row) for row in rows[:most]], otherwise, max(len(rows) - most, 0))


def _searched(key: RowKey, tables: Tables, place: Place, rows: Sequence[Row], make: Callable[[Row], Item]) -> Cell:
    """Return what was found; nothing is known to be there only where something was tested."""
    stages = tables.by("map_stages", *STAGE).get(place.at, [])
    if not rows and any(row.values["pain_test_count"] for row in stages):
        return Cell(key, place.stage.key, "observed", note=NONE_FOUND)
    is_seen = any(row.values["visited_count"] for row in stages)
    otherwise = LAST_STAGE if place.is_last else FEW_PEOPLE if is_seen else NOBODY
    return _listed(key, place, rows, make, otherwise)


def _cell(key: RowKey, place: Place, entries: Sequence[Item], otherwise: str, rest: int) -> Cell:
    if not entries:
        return Cell(key, place.stage.key, note=otherwise)
    return Cell(key, place.stage.key, entries[0].evidence, tuple(entries), rest)
