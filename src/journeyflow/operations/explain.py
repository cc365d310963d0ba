"""Explain the stage of an event, why a person dropped off in a funnel, and what a pain point or an opportunity is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from journeyflow.compile.conditions import predicates, rule_predicate
from journeyflow.compile.map_figures import GRAINS, MAP, MapFigure
from journeyflow.config import Config
from journeyflow.config.base import format_duration
from journeyflow.config.conditions import render
from journeyflow.config.models_and_funnels import JourneyModel, PlacedRule
from journeyflow.engines import Engine
from journeyflow.errors import NotFoundError, require_known
from journeyflow.pipeline.run import open_build
from journeyflow.publish.reader import PublishedTables
from journeyflow.report import cells
from journeyflow.report.cells import Row, Tables
from journeyflow.report.formatting import TEXT_LENGTH, display_text, figure_text, range_text
from journeyflow.report.view_model import Figure, FigureSource, conjunction
from journeyflow.utils.formatting import count, percent

if TYPE_CHECKING:
    import pyarrow as pa

_Row = dict[str, Any]


@dataclass(frozen=True)
class Verdict:
    """The stage of an event in one model; ``unclassified`` without a rule.

    `history` describes the earlier events that a rule with history found. `passed_over` are the preceding rules whose
    condition holds but whose history does not.
    """

    model: str
    stage: str
    rule_id: str | None
    rule: str | None
    history: str | None
    passed_over: tuple[str, ...]


@dataclass(frozen=True)
class ExplainedEvent:
    """An event with its stage in each model; `left_out` is the reason why it has none."""

    event_id: str
    occurred_at: datetime
    event_name: str
    channel: str
    touchpoint: str
    person_id: str | None
    journey_index: int | None
    left_out: str | None
    verdicts: tuple[Verdict, ...]


def explain_event(config: Config, event_id: str) -> list[ExplainedEvent]:
    """Explain the stages of the events with the id `event_id`: one per source that has it, by time.

    Raises
    ------
    NotFoundError
        When the last run has no such event.
    InputError
        When no run has succeeded yet.
    """
    with open_build(config, "kernel.events") as engine:
        events = _rows(engine, _EVENT, event_id)
        if not events:
            raise NotFoundError(
                "The last run has no event with this id. It may be later than the run's --as-of, quarantined, a "
                'duplicate or filtered: `journeyflow query "from load_audit"` counts those. Ids: `journeyflow events`.'
            )
        return [_explained(engine, config, event) for event in events]


@dataclass(frozen=True)
class EventFilter:
    """Which events to find; None is any. `person` is a published `person_id`, a `user_id` or an `anonymous_id`."""

    event_name: str | None = None
    touchpoint: str | None = None
    channel: str | None = None
    stage: str | None = None
    person: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def find_events(config: Config, model: str | None, wanted: EventFilter, limit: int) -> pa.Table:
    """Return the newest counted events that match, with id, time, name, touchpoint, person and stage of a model.

    Raises
    ------
    NotFoundError
        When the last run has no such model, person, event name, channel, touchpoint or stage.
    """
    with open_build(config, "kernel.events") as engine:
        models = [row["model"] for row in _rows(engine, "select model from config.models order by model_index")]
        model = model or models[0]
        require_known("journey model", model, models)
        for column in ("event_name", "touchpoint", "channel", "stage"):
            if (value := getattr(wanted, column)) is not None:
                found = _rows(engine, f"select distinct {column} as value from {_HOLDERS[column]} order by value")
                require_known(column.replace("_", " "), value, [row["value"] for row in found])
        key = None if wanted.person is None else _person(engine, wanted.person)[0]
        values = (wanted.event_name, wanted.touchpoint, wanted.channel, wanted.stage, key, wanted.since, wanted.until)
        return engine.rows(_FOUND_EVENTS, [model, *values, limit])


_TYPES = "journeys.event_types"
_HOLDERS = {"event_name": _TYPES, "touchpoint": _TYPES, "channel": _TYPES, "stage": "config.stages"}
_FOUND_EVENTS = """
    select e.event_id, e.occurred_at, e.event_name, e.touchpoint, p.person_id, s.stage
    from kernel.events as k
    join staging.events as e on e.event_ix = k.event_ix
    join identity.persons as p on p.person_key = k.person_key
    join config.models as m on m.model = $1
    left join kernel.classifications as c
        on c.classification_key = k.classification_key and c.model_index = m.model_index
    left join config.stages as s on s.model_index = c.model_index and s.stage_index = c.stage_index
    where ($2 is null or e.event_name = $2) and ($3 is null or e.touchpoint = $3) and ($4 is null or e.channel = $4)
        and ($5 is null or s.stage = $5) and ($6::ubigint is null or k.person_key = $6::ubigint)
        and ($7::timestamp is null or e.occurred_at >= $7::timestamp)
        and ($8::timestamp is null or e.occurred_at < $8::timestamp)
    order by e.occurred_at desc, e.event_id limit $9
"""
_EVENT = """
    select e.event_id, e.occurred_at, e.sequence, e.event_name, e.channel, e.touchpoint, e.is_bot, e.is_internal,
        k.person_key, k.journey_index, k.classification_key, p.person_id
    from staging.events as e
    left join kernel.events as k on k.event_ix = e.event_ix
    left join identity.persons as p on p.person_key = k.person_key
    where e.event_id = $1
    order by e.occurred_at, e.event_ix
"""
_CLASSIFICATIONS = """
    select m.model, c.event_type_ix, c.rule_index, coalesce(s.stage, 'unclassified') as stage
    from kernel.classifications as c
    join config.models as m on m.model_index = c.model_index
    left join config.stages as s on s.model_index = c.model_index and s.stage_index = c.stage_index
    where c.classification_key = $1
    order by m.model_index
"""
_TRUE_PREDICATES = "select distinct predicate from config.event_type_predicates where event_type_ix = $1 and is_true"


def _explained(engine: Engine, config: Config, event: _Row) -> ExplainedEvent:
    key = event["classification_key"]
    classifications = _rows(engine, _CLASSIFICATIONS, key) if key is not None else []
    return ExplainedEvent(
        event["event_id"],
        event["occurred_at"],
        event["event_name"],
        event["channel"],
        event["touchpoint"],
        event["person_id"],
        event["journey_index"],
        "a bot's" if event["is_bot"] else "internal traffic" if event["is_internal"] else None,
        tuple(_verdict(engine, config.journey_model(found["model"]), event, found) for found in classifications),
    )


def _verdict(engine: Engine, model: JourneyModel, event: _Row, classification: _Row) -> Verdict:
    stage, rule_index = classification["stage"], classification["rule_index"]
    matched = next((rule for rule in model.rules if rule.rule_index == rule_index), None)
    true = {row["predicate"] for row in _rows(engine, _TRUE_PREDICATES, classification["event_type_ix"])}
    preceding = [rule for rule in model.rules if matched is None or rule.rule_index < matched.rule_index]
    passed_over = tuple(_describe(rule) for rule in preceding if rule_predicate(model.model, rule.rule_id) in true)
    if matched is None:
        return Verdict(model.model, stage, None, None, None, passed_over)
    history = _history(engine, model, matched, event)
    return Verdict(model.model, stage, matched.rule_id, _describe(matched), history, passed_over)


def _describe(placed: PlacedRule) -> str:
    rule = placed.rule
    parts = [render(rule.when)]
    if rule.after:
        parts.append(f"at most {format_duration(rule.after.within)} after {rule.after.event}")
    if rule.nth:
        ordinal = f"number {rule.nth.is_}" if rule.nth.is_ else f"number {rule.nth.at_least} or later"
        parts.append(f"{ordinal} of the person's such events")
    return ", ".join(parts)


# The total order of a person's events; events without a sequence come last among equal times.
_EARLIER = """
    from kernel.events as k
    join staging.events as e on e.event_ix = k.event_ix
    {joins}
    where k.person_key = $1 and {condition}
        and (e.occurred_at, e.sequence is null, coalesce(e.sequence, 0), e.event_id)
            < ($3, $4 is null, coalesce($4, 0), $5)
"""
_LAST_OF_NAME = "select max(e.occurred_at) as at" + _EARLIER.format(joins="", condition="e.event_name = $2")
_COUNT_OF_RULE = "select count(*) as n" + _EARLIER.format(
    joins="""join kernel.classifications as c on c.classification_key = k.classification_key and c.model_index = 1
    join config.event_type_predicates as t on t.event_type_ix = c.event_type_ix""",
    condition="t.predicate = $2 and t.is_true",
)


def _history(engine: Engine, model: JourneyModel, placed: PlacedRule, event: _Row) -> str | None:
    """Describe the earlier events on which a rule with history depends."""
    position = (event["occurred_at"], event["sequence"], event["event_id"])
    found = []
    if placed.rule.after:
        name = placed.rule.after.event
        (last,) = _rows(engine, _LAST_OF_NAME, event["person_key"], name, *position)
        if last["at"] is not None:
            gap = _duration(event["occurred_at"] - last["at"])
            found.append(f"the person's last {name} before it was {gap} earlier, {last['at']}")
    if placed.rule.nth:
        predicate = rule_predicate(model.model, placed.rule_id)
        (earlier,) = _rows(engine, _COUNT_OF_RULE, event["person_key"], predicate, *position)
        found.append(f"it is number {earlier['n'] + 1} of the person's such events")
    return "; ".join(found) or None


@dataclass(frozen=True)
class TimelineEvent:
    """An event of the person; `matches` are the steps and exclusions of the funnel that it satisfies."""

    occurred_at: datetime
    event_name: str
    touchpoint: str
    matches: tuple[str, ...]


@dataclass(frozen=True)
class ReachedStep:
    """A step of a funnel; `reached_at` is null where the attempt did not reach it."""

    step_index: int
    step: str
    reached_at: datetime | None


@dataclass(frozen=True)
class ExplainedAttempt:
    """A counted attempt; the timeline has at most `MAX_EVENTS` events of the person while it was open."""

    entered_at: datetime
    closes_at: datetime
    outcome: str
    reason: str
    reaches: tuple[ReachedStep, ...]
    timeline: tuple[TimelineEvent, ...]


@dataclass(frozen=True)
class ExplainedPerson:
    """A person in a funnel with the attempts of every counted unit; `note` is the reason why there is none.

    `other_funnels` are the funnels in which the person has attempts too.
    """

    person_id: str
    funnel: str
    unit: str
    attempts: tuple[ExplainedAttempt, ...]
    note: str | None
    other_funnels: tuple[str, ...] = ()


def explain_person(config: Config, person: str, funnel: str | None = None) -> ExplainedPerson:
    """Explain how far a person came in a funnel, and why each attempt ended.

    Parameters
    ----------
    person : str
        A published `person_id`, a `user_id` or an `anonymous_id`.
    funnel : str or None
        A configured funnel or, for its stage funnel, a journey model; None is the first in which the person has an
        attempt, configured funnels first.

    Raises
    ------
    NotFoundError
        When there is no such person or funnel.
    InputError
        When no run has succeeded yet.
    """
    with open_build(config, "kernel.funnel_units") as engine:
        definition = _funnel(engine, funnel) if funnel is not None else None
        person_key, person_id = _person(engine, person)
        entered = [row["funnel"] for row in _rows(engine, _ENTERED, person_key)]
        if definition is None:
            first = _rows(engine, _FUNNELS)[0]["funnel"]
            definition = _funnel(engine, entered[0] if entered else first)
        name = definition["funnel"]
        steps = _rows(engine, _STEPS, definition["funnel_index"])
        units = _rows(engine, _UNITS, definition["funnel_index"], person_key)
        attempts = tuple(_attempt(engine, config, definition, steps, unit, person_key) for unit in units)
    note = None if attempts else _why_no_attempt(definition, steps)
    others = tuple(each for each in entered if each != name)
    return ExplainedPerson(person_id, name, definition["unit"], attempts, note, others)


_FUNNELS = "select * from config.funnels order by funnel_index"
_ENTERED = """
    select f.funnel from config.funnels as f
    where f.funnel_index in (select funnel_index from kernel.funnel_units where person_key = $1)
    order by f.kind = 'stages', f.funnel_index
"""
_STEPS = "select step_index, step from config.funnel_steps where funnel_index = $1 order by step_index"
_PERSON = """
    select person_key, person_id from identity.persons where person_id = $1
    union
    select p.person_key, p.person_id from identity.users as u
    join identity.persons as p on p.person_key = u.person_key where u.user_id = $1
    union
    select p.person_key, p.person_id from identity.identities as i
    join identity.persons as p on p.person_key = i.person_key where i.anonymous_id = $1
"""
_UNITS = """
    select attempt_ix, entered_at, depth, closes_at, is_pending
    from kernel.funnel_units where funnel_index = $1 and person_key = $2 order by entered_at, attempt_ix
"""
_REACHES = "select step_index, reached_at from kernel.funnel_reaches where funnel_index = $1 and attempt_ix = $2"


def _funnel(engine: Engine, name: str) -> _Row:
    funnels = _rows(engine, _FUNNELS)
    require_known("funnel or journey model", name, [row["funnel"] for row in funnels])
    return next(row for row in funnels if row["funnel"] == name)


def _person(engine: Engine, person: str) -> tuple[int, str]:
    found = _rows(engine, _PERSON, person)
    if not found:
        raise NotFoundError(
            "There is no such person: give a published person_id, as `journeyflow events` lists, a user_id or an "
            "anonymous_id."
        )
    if len(found) > 1:
        raise NotFoundError(
            "This id belongs to several persons (as a user_id and as a device): give the published person_id."
        )
    return found[0]["person_key"], found[0]["person_id"]


def _why_no_attempt(funnel: _Row, steps: list[_Row]) -> str:
    if funnel["kind"] == "stages":
        return "None of the person's journeys has an event in a stage of this model."
    opening = "a step" if funnel["order_type"] == "any_order" else f"the step {steps[0]['step']}"
    return (
        f"No attempt of this person counts: no event matches {opening} on an entry day of this funnel, or an "
        "exclusion voided every attempt."
    )


def _attempt(
    engine: Engine, config: Config, funnel: _Row, steps: list[_Row], unit: _Row, person_key: int
) -> ExplainedAttempt:
    reached = _rows(engine, _REACHES, funnel["funnel_index"], unit["attempt_ix"])
    times = {row["step_index"]: row["reached_at"] for row in reached}
    reaches = tuple(ReachedStep(step["step_index"], step["step"], times.get(step["step_index"])) for step in steps)
    timeline = _timeline(engine, config, funnel, person_key, unit)
    outcome, reason = _ending(config, funnel, unit, reaches, timeline)
    return ExplainedAttempt(unit["entered_at"], unit["closes_at"], outcome, reason, reaches, timeline)


MAX_EVENTS = 200
_TIMELINE = """
    select e.occurred_at, e.event_name, e.touchpoint, c.event_type_ix, c.stage_index, s.stage
    from kernel.events as k
    join staging.events as e on e.event_ix = k.event_ix
    join kernel.classifications as c on c.classification_key = k.classification_key
    join config.models as m on m.model_index = c.model_index and m.model = $2
    left join config.stages as s on s.model_index = c.model_index and s.stage_index = c.stage_index
    where k.person_key = $1 and e.occurred_at between $3 and $4
    order by e.occurred_at, e.sequence nulls last, e.event_id
    limit $5
"""
_TRUE_EVENT_TYPES = """
    select event_type_ix, stage_index, predicate
    from config.event_type_predicates where is_true and starts_with(predicate, $1)
"""


def _timeline(engine: Engine, config: Config, funnel: _Row, person_key: int, unit: _Row) -> tuple[TimelineEvent, ...]:
    model = funnel["model"] or config.journey_models[0].model
    events = _rows(engine, _TIMELINE, person_key, model, unit["entered_at"], unit["closes_at"], MAX_EVENTS)
    prefix = f"funnel/{funnel['funnel']}/"
    conditions = [predicate for predicate in predicates(config) if predicate.name.startswith(prefix)]
    true = {
        (row["predicate"], row["event_type_ix"], row["stage_index"]) for row in _rows(engine, _TRUE_EVENT_TYPES, prefix)
    }

    def matches(event: _Row) -> tuple[str, ...]:
        if funnel["kind"] == "stages":
            return (event["stage"],) if event["stage"] else ()
        return tuple(
            condition.name.removeprefix(prefix).replace("/", " ")
            for condition in conditions
            # A predicate that reads no stage is stored with stage 0.
            if (condition.name, event["event_type_ix"], event["stage_index"] if condition.model else 0) in true
        )

    return tuple(
        TimelineEvent(event["occurred_at"], event["event_name"], event["touchpoint"], matches(event))
        for event in events
    )


def _ending(
    config: Config, funnel: _Row, unit: _Row, reaches: tuple[ReachedStep, ...], timeline: tuple[TimelineEvent, ...]
) -> tuple[str, str]:
    """Return the outcome of an attempt and, in a sentence, why it ended."""
    depth, closes_at = unit["depth"], unit["closes_at"]
    if depth == len(reaches):
        return "converted", f"the last step, {reaches[-1].step}, was reached."
    missing = reaches[depth].step
    if unit["is_pending"]:
        return "pending", f"{missing} was not reached and still may be, until {closes_at} UTC."
    window = timedelta(microseconds=funnel["window_us"])
    if closes_at >= unit["entered_at"] + window:
        return "dropped", f"{missing} was not reached within {_duration(window)} of the first step."
    excluded = _excluded_at(closes_at, timeline)
    if excluded is not None:
        return "dropped", f"{excluded} at {closes_at} UTC is excluded after {reaches[depth - 1].step} and ended it."
    within = _duration(config.funnels[funnel["funnel"]].steps[depth].within or window)
    return "dropped", f"{missing} was not reached within {within} of the step before, by {closes_at} UTC."


def _excluded_at(instant: datetime, timeline: tuple[TimelineEvent, ...]) -> str | None:
    """Return the name of the excluded event at an instant."""
    for event in timeline:
        if event.occurred_at == instant and any(match.startswith("exclusion ") for match in event.matches):
            return event.event_name
    return None


@dataclass(frozen=True)
class ExplainedFinding:
    """An opportunity or a pain point in plain words.

    `facts` are titled sentences: who, the comparison, rates, loss, grade, worth. `queries` are titled SELECTs over
    the published tables, in DuckDB's dialect: the row first, then what recomputes its figures.
    """

    headline: str
    facts: tuple[tuple[str, str], ...]
    queries: tuple[tuple[str, str], ...]


FindingTable = Literal["opportunities", "pain_points"]
_COMPARED = {
    "incident": "the same slice on its own days before and after, and what other slices did in the same days",
    "gap": "persons of other slices, weighted to be alike in what was known when they entered",
    "exposure": (
        "persons at the same point who had not met it then: same persona and slices, as many visits and touches so "
        "far, as long since entry, same weekday"
    ),
    "promise": "persons whose promise was kept, alike otherwise, from the moment of the breach on",
    "friction": "persons at the same point who had not met it then",
}
_GRADES = {
    "incident": "incident: the rate broke in these days, and not for others; chance and season do not explain it.",
    "matched": (
        "matched: like is compared with like, and an outcome from before the exposure, which it cannot have changed, "
        "shows no difference."
    ),
    "association": "association: they go together; nothing says that one causes the other, so it is no opportunity.",
}


def explain_finding(
    published: PublishedTables, table: FindingTable, keys: tuple[str, str, str], rank: int
) -> ExplainedFinding:
    """Explain one row of `opportunities` or `pain_points`.

    Parameters
    ----------
    keys : tuple of str
        Model, persona and period of its map.
    rank : int
        Its rank in that map, from 1.

    Raises
    ------
    NotFoundError
        When the map has no row of this rank.
    """
    tables = Tables(published)
    column = GRAINS[table][-1]
    rows = tables.by(table, *MAP).get(keys, [])
    row = next((row for row in rows if row.values[column] == rank), None)
    if row is None:
        listed = sorted(row.values[column] for row in rows)
        there = f"there are numbers 1 to {listed[-1]}" if listed else "none is listed: no cause stands out"
        raise NotFoundError(f"There is no number {rank} in this map of `{table}`; {there}.")
    pain = row if table == "pain_points" else _pain_of(tables, row)
    facts = (*_who(row, pain, tables), *_how_known(row, pain), *_worth(row))
    return ExplainedFinding(display_text(row.text("headline"), 2 * TEXT_LENGTH), facts, tuple(_queries(row, pain)))


def _pain_of(tables: Tables, row: Row) -> Row | None:
    """Return the pain point behind an opportunity; a promise may have none."""
    same = ("stage", "kind", "subject", "slice", "first_day")
    rows = tables.by("pain_points", *MAP).get(tuple(row.values[key] for key in MAP), [])
    return next((pain for pain in rows if all(pain.values.get(key) == row.values.get(key) for key in same)), None)


def _who(row: Row, pain: Row | None, tables: Tables) -> list[tuple[str, str]]:
    where = [f"at {display_text(row.text('stage'))}", display_text(row.text("slice")), cells.days_text(pain or row)]
    met = ", ".join(part for part in (cells.subject_text(row, tables.labels), *where) if part)
    facts = [("who", f"{count(row.values['person_count'])} persons, {cells.pain_kind(row)}: {met}.")]
    if pain is None:
        return facts
    others = f"{count(pain.values['compared_count'])}: " if pain.has("compared_count") else ""
    facts.append(("compared", f"{others}{_COMPARED.get(pain.text('kind'), 'persons who did not meet it')}."))
    if pain.has("rate") and pain.has("expected_rate"):
        done = "converted again" if pain.text("kind") == "promise" else "went on"
        went_on = f"{count(pain.values['went_on_count'])} of them, " if pain.has("went_on_count") else ""
        rates = f"{went_on}{percent(pain.values['rate'])}, {done}; {percent(pain.values['expected_rate'])} would have"
        facts.append(("rates", f"{rates} at the rate of those that they are compared with."))
    return facts


def _how_known(row: Row, pain: Row | None) -> list[tuple[str, str]]:
    facts = []
    lost = cells.opportunity_figures(row)[1]
    if lost.value is not None:
        facts.append(("lost", f"{_ranged(lost)} persons did not go on and would have: persons times the two rates."))
    facts.append(("grade", _GRADES.get(row.text("grade"), display_text(row.text("grade")))))
    if pain is None:
        return facts
    # At 1 there is no difference in going on that a cause would have to explain.
    if pain.has("e_value") and pain.values["e_value"] > 1:
        strength = f"{pain.values['e_value']:.1f}"
        facts.append(
            (
                "E-value",
                f"{strength}: to explain the difference away, something that is not recorded would have to make both "
                f"meeting it and leaving at least {strength} times as likely.",
            )
        )
    if pain.has("q_value"):
        chance = figure_text(pain.figure(MapFigure("q_value", "q", "probability")))
        facts.append(("q", f"{chance}: the chance of a false alarm, all that was searched counted."))
    return facts


def _worth(row: Row) -> list[tuple[str, str]]:
    if row.table != "opportunities":
        return []
    *_, worth, alone = cells.opportunity_figures(row)
    facts = []
    if worth.value is not None:
        refunds = ", and refunds" if row.text("kind") == "promise" else ""
        facts.append(("worth", f"{_ranged(worth)}: persons lost times what going on brought on average{refunds}."))
    else:
        facts.append(("worth", "unknown in money; ranked by persons."))
    if row.has("sentiment_effect"):
        effect = f"{row.values['sentiment_effect']:+.2f}"
        facts.append(("mood", f"{effect} on the scale from -1 to 1, against those that they are compared with."))
    if alone.value is not None and row.values.get("overlap_count"):
        shared = f"{count(row.values['overlap_count'])} of its persons met one of the rows above too"
        facts.append(("alone", f"{figure_text(alone)}, beyond the rows above it; {shared}."))
    if row.text("owner"):
        facts.append(("owner", display_text(row.text("owner"))))
    return facts


def _ranged(figure: Figure) -> str:
    ends = range_text(figure)
    return f"{figure_text(figure)} (95 % interval {ends})" if ends else figure_text(figure)


def _queries(row: Row, pain: Row | None) -> list[tuple[str, str]]:
    queries = [("The row:", FigureSource(row.table, row.where, ("*",)).sql)]
    if pain is not None:
        sums = "person_count, compared_count, rate, expected_rate, lost_count"
        again = f"{sums}, round(person_count * (expected_rate - rate)) as recomputed_count"
        queries.append(("Persons lost, from the rates:", FigureSource("pain_points", pain.where, (again,)).sql))
    at_stage = (*row.where[:3], ("stage", row.values["stage"]))
    bound = FigureSource("map_stages", at_stage, ("person_count", "drop_off_count", "drop_off_rate")).sql
    queries.append(("What left the stage, which no row exceeds:", bound))
    if row.table == "opportunities":
        columns = ("opportunity_rank", "subject", "worth_amount", "worth_alone_amount", "overlap_count")
        of_map = conjunction(at_stage)
        everything = f"select {', '.join(columns)} from opportunities where {of_map} order by opportunity_rank"
        queries.append(("All of the stage; worth_alone_amount adds up:", everything))
    return queries


def _duration(span: timedelta) -> str:
    return format_duration(timedelta(seconds=round(span.total_seconds())))


def _rows(engine: Engine, select: str, *params: object) -> list[_Row]:
    return list(engine.rows(select, params).to_pylist())
