"""Which rows of the published tables make each cell of a map."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from journeyflow.report import items
from journeyflow.report.atlas import ALL, Cell, Item, RowKey, Stage
from journeyflow.report.tables import STAGE, STEP, Row, Tables
from journeyflow.report.words import COUNTED_ONCE

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
    return Item("", items.known((*items.outcome_figures(row), items.seen(row))))


def supplied(key: RowKey, aspect: str) -> Reader:
    """Return the reader of one aspect of the cells that people supply."""

    def read(tables: Tables, place: Place) -> Cell:
        persona = ALL if aspect == "owner" else place.persona
        of_cell = tables.by("supplied_cells", "model", "persona", "stage", "aspect")
        rows = of_cell.get((place.model, persona, place.stage.key, aspect), [])
        return _listed(key, place, [row for row in rows if row.word("text")], items.told, NOTHING_SUPPLIED)

    return read


def touchpoints(tables: Tables, place: Place) -> Cell:
    """What people met in the stage, the most met first."""
    rows = _most_met(tables.by("touchpoints", *STAGE).get(place.at, []), "touchpoint")
    return _listed("touchpoints", place, rows, items.touchpoint, NOBODY)


def channels(tables: Tables, place: Place) -> Cell:
    """Where people met it, the most met first."""
    rows = _most_met(tables.by("stage_channels", *STAGE).get(place.at, []), "channel")
    return _listed("channels", place, rows, items.channel, NOBODY)


def _most_met(rows: Sequence[Row], name: str) -> list[Row]:
    return sorted(rows, key=lambda row: (-(row.values["person_count"] or 0), row.word(name)))


def following(tables: Tables, place: Place) -> Cell:
    """What came next: stages and exits (known over the whole time only), and what those who dropped did."""
    most = MOST["next"]
    moves, actions = _moves(tables, place), next_actions(tables, place.step)
    rest = max(len(moves) - most, 0) + max(len(actions) - most, 0)
    entries = [items.move(row) for row in moves[:most]] + [items.next_action(row) for row in actions[:most]]
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
    found = _listed("time", place, timed, lambda row: Item("", (items.median_time(row),)), otherwise)
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
    return _listed("emotion", place, told, items.feeling, FEW_ANSWERS if rows else NO_ANSWERS)


def pain_points(tables: Tables, place: Place) -> Cell:
    """Where people are lost, loop, wait or fail, by conversions lost."""
    rows = tables.by("pain_points", *STAGE).get(place.at, [])
    ranked = sorted(rows, key=lambda row: row.values["pain_rank"])
    return _searched("pain_points", tables, place, ranked, items.pain_point)


def promises(tables: Tables, place: Place) -> Cell:
    """What was promised in the stage, and how it went."""
    rows = tables.by("promises", "persona", "period", "stage").get((place.persona, place.period, place.stage.key), [])
    named = sorted(rows, key=lambda row: row.word("promise"))
    return _listed("promises", place, named, lambda row: items.promise(row, place.model), "nothing was promised here")


def desired(tables: Tables, place: Place) -> Cell:
    """The journey that people wish for, beside the measured one and the gap."""
    return _listed(
        "desired", place, tables.by("desired_gaps", *STAGE).get(place.at, []), items.desired, NOTHING_SUPPLIED
    )


def opportunities(tables: Tables, place: Place) -> Cell:
    """What mending the stage's pain points and promises is worth."""
    rows = tables.by("opportunities", *STAGE).get(place.at, [])
    ranked = sorted(rows, key=lambda row: row.values["opportunity_rank"])
    return _searched("opportunities", tables, place, ranked, items.gain)


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
