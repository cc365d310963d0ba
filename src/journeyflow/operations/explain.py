"""Explain why an event is in its stage and why a person counts as converted, pending or dropped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from journeyflow.config import Config
from journeyflow.config.conditions import render
from journeyflow.config.journey_models import JourneyModel, PlacedRule
from journeyflow.config.predicates import Predicate, predicates, rule_predicate
from journeyflow.engines import Engine
from journeyflow.errors import NotFoundError
from journeyflow.pipeline.run import open_build

Row = dict[str, Any]


def rows(engine: Engine, select: str, params: Sequence[Any]) -> list[Row]:
    """Return the rows of a small query as mappings."""
    return list(engine.rows(select, params).to_pylist())


def describe_rule(placed: PlacedRule) -> str:
    """Return a rule of a stage as part of a sentence, with its history."""
    rule = placed.rule
    parts = [render(rule.when)]
    if rule.after:
        parts.append(f"at most {duration_text(rule.after.within)} after {rule.after.event}")
    if rule.nth:
        bound = f"number {rule.nth.is_}" if rule.nth.is_ else f"number {rule.nth.at_least} or later"
        parts.append(f"{bound} of the person's such events")
    return ", ".join(parts)


def duration_text(span: timedelta) -> str:
    """Return a duration in its two largest units, short as in `journeyflow.yml`.

    Examples
    --------
    >>> length(timedelta(days=7)), length(timedelta(hours=26, seconds=3))
    ('7d', '1d 2h')
    """
    rest, parts = round(span.total_seconds()), []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        amount, rest = divmod(rest, size)
        if amount:
            parts.append(f"{amount}{unit}")
    return " ".join(parts[:2]) or "0s"


MAX_EVENTS = 200
"""Most events that a timeline lists."""

_EVENTS = """
    select e.occurred_at, e.event_name, e.touchpoint, l.event_type_ix, l.stage_index, s.stage
    from kernel.events as k
    join staging.events as e on e.event_ix = k.event_ix
    join kernel.classifications as l on l.classification_key = k.classification_key
    join config.models as m on m.model_index = l.model_index and m.model = $2
    left join config.stages as s on s.model_index = l.model_index and s.stage_index = l.stage_index
    where k.person_key = $1 and e.occurred_at between $3 and $4
    order by e.occurred_at, e.sequence nulls last, e.event_id
    limit $5
"""
_TRUTHS = "select event_type_ix, stage_index, predicate from config.event_type_predicates where is_true and starts_with(predicate, $1)"


@dataclass(frozen=True)
class TimelineEvent:
    """An event of the person, and the steps and exclusions of the funnel that it satisfies."""

    occurred_at: datetime
    event_name: str
    touchpoint: str
    matches: tuple[str, ...]


def timeline(
    engine: Engine, config: Config, funnel: Row, person_key: int, first: datetime, last: datetime
) -> tuple[TimelineEvent, ...]:
    """Return what a person did from `first` to `last`, both included, in order; at most `MAX_EVENTS`.

    Parameters
    ----------
    engine : Engine
        What the last run built.
    config : Config
        The project.
    funnel : dict
        A row of `config.funnels`.
    person_key : int
        The person.
    first, last : datetime
        Naive UTC.
    """
    model = funnel["model"] or config.journey_models[0].model
    events = rows(engine, _EVENTS, [person_key, model, first, last, MAX_EVENTS])
    prefix = f"funnel/{funnel['funnel']}/"
    truths = {(row["predicate"], row["event_type_ix"], row["stage_index"]) for row in rows(engine, _TRUTHS, [prefix])}
    named = [predicate for predicate in predicates(config) if predicate.name.startswith(prefix)]

    def matches(event: Row) -> tuple[str, ...]:
        if funnel["kind"] == "stages":
            return (event["stage"],) if event["stage"] else ()
        true = (predicate for predicate in named if _place(predicate, event) in truths)
        return tuple(predicate.name.removeprefix(prefix).replace("/", " ") for predicate in true)

    return tuple(
        TimelineEvent(event["occurred_at"], event["event_name"], event["touchpoint"], matches(event))
        for event in events
    )


def _place(predicate: Predicate, event: Row) -> tuple[str, int, int]:
    """Return where the truth of a predicate is kept; what reads no stage is kept at stage 0."""
    return predicate.name, event["event_type_ix"], event["stage_index"] if predicate.model else 0


_EVENT = """
    select e.event_ix, e.event_id, e.occurred_at, e.sequence, e.event_name, e.channel, e.touchpoint, e.is_bot,
        e.is_internal, k.person_key, k.journey_index, k.classification_key, p.person_id
    from staging.events as e
    left join kernel.events as k on k.event_ix = e.event_ix
    left join identity.persons as p on p.person_key = k.person_key
    where e.event_id = $1
    order by e.occurred_at, e.event_ix
"""
_LABELS = """
    select m.model, l.event_type_ix, l.rule_index, coalesce(s.stage, 'unclassified') as stage
    from kernel.classifications as l
    join config.models as m on m.model_index = l.model_index
    left join config.stages as s on s.model_index = l.model_index and s.stage_index = l.stage_index
    where l.classification_key = $1
    order by m.model_index
"""
_TRUE_PREDICATES = "select distinct predicate from config.event_type_predicates where event_type_ix = $1 and is_true"
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
    joins="""join kernel.classifications as l on l.classification_key = k.classification_key and l.model_index = 1
    join config.event_type_predicates as t on t.event_type_ix = l.event_type_ix""",
    condition="t.predicate = $2 and t.is_true",
)


@dataclass(frozen=True)
class Verdict:
    """One model's stage of an event.

    Parameters
    ----------
    model, stage : str
        Names; the stage of an event that no rule matched is ``unclassified``.
    rule_id : str or None
        The rule that decided.
    rule : str or None
        The rule read aloud.
    history : str or None
        The earlier events that the rule found.
    passed_over : tuple of str
        Rules placed before it whose condition holds and whose history does not, read aloud.
    """

    model: str
    stage: str
    rule_id: str | None
    rule: str | None
    history: str | None
    passed_over: tuple[str, ...]


@dataclass(frozen=True)
class ExplainedEvent:
    """An event and the stage that each model gives it; `left_out` says why it has none."""

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
    """Tell why an event is in its stage, in every model.

    Parameters
    ----------
    config : Config
        The project.
    event_id : str
        The source's id of the event.

    Returns
    -------
    list of ExplainedEvent
        One per source that has an event of this id, by time.

    Raises
    ------
    NotFoundError
        When the last run read no such event.
    InputError
        When no run has ended well yet.
    """
    with open_build(config) as engine:
        events = rows(engine, _EVENT, [event_id])
        if not events:
            raise NotFoundError(
                "The last run read no event with this id. It may be later than the run's --as-of, quarantined, a "
                'duplicate or filtered: `journeyflow query "from load_audit"` counts those.'
            )
        return [_explained(engine, config, event) for event in events]


def _explained(engine: Engine, config: Config, event: Row) -> ExplainedEvent:
    left_out = "a bot's" if event["is_bot"] else "internal traffic" if event["is_internal"] else None
    labels = rows(engine, _LABELS, [event["classification_key"]]) if event["classification_key"] is not None else []
    return ExplainedEvent(
        event["event_id"],
        event["occurred_at"],
        event["event_name"],
        event["channel"],
        event["touchpoint"],
        event["person_id"],
        event["journey_index"],
        left_out,
        tuple(_verdict(engine, config.journey_model(label["model"]), event, label) for label in labels),
    )


def _verdict(engine: Engine, model: JourneyModel, event: Row, label: Row) -> Verdict:
    chosen = next((rule for rule in model.rules if rule.rule_index == label["rule_index"]), None)
    true = {row["predicate"] for row in rows(engine, _TRUE_PREDICATES, [label["event_type_ix"]])}
    before = [rule for rule in model.rules if chosen is None or rule.rule_index < chosen.rule_index]
    passed_over = tuple(describe_rule(rule) for rule in before if rule_predicate(model.model, rule.rule_id) in true)
    if chosen is None:
        return Verdict(model.model, label["stage"], None, None, None, passed_over)
    history = _history(engine, model, chosen, event)
    return Verdict(model.model, label["stage"], chosen.rule_id, describe_rule(chosen), history, passed_over)


def _history(engine: Engine, model: JourneyModel, placed: PlacedRule, event: Row) -> str | None:
    """Find again the earlier events that a rule with history asks for."""
    place = [event["occurred_at"], event["sequence"], event["event_id"]]
    found = []
    if placed.rule.after:
        name = placed.rule.after.event
        at = rows(engine, _LAST_OF_NAME, [event["person_key"], name, *place])[0]["at"]
        if at is not None:
            found.append(
                f"the person's last {name} before it was {duration_text(event['occurred_at'] - at)} earlier, {at}"
            )
    if placed.rule.nth:
        earlier = rows(
            engine, _COUNT_OF_RULE, [event["person_key"], rule_predicate(model.model, placed.rule_id), *place]
        )[0]["n"]
        found.append(f"it is number {earlier + 1} of the person's such events")
    return "; ".join(found) or None


_FUNNELS = "select * from config.funnels order by funnel_index"
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
    select attempt_ix, journey_index, entered_at, depth, closes_at, is_pending
    from kernel.funnel_units where funnel_index = $1 and person_key = $2 order by entered_at, attempt_ix
"""
_REACHES = """
    select step_index, reached_at from kernel.funnel_reaches
    where funnel_index = $1 and attempt_ix = $2 order by step_index
"""


@dataclass(frozen=True)
class ReachedStep:
    """A step of a funnel and when the counted attempt reached it; null where it did not."""

    step_index: int
    step: str
    reached_at: datetime | None


@dataclass(frozen=True)
class ExplainedAttempt:
    """A counted attempt: how far it came, why it ended there, and what the person did in its time."""

    entered_at: datetime
    closes_at: datetime
    outcome: str
    reason: str
    reaches: tuple[ReachedStep, ...]
    timeline: tuple[TimelineEvent, ...]


@dataclass(frozen=True)
class ExplainedPerson:
    """A person in a funnel; `note` says why there is no attempt."""

    person_id: str
    funnel: str
    unit: str
    attempts: tuple[ExplainedAttempt, ...]
    note: str | None


def explain_person(config: Config, person: str, funnel: str) -> ExplainedPerson:
    """Tell how far a person came in a funnel, and why it ended there.

    Parameters
    ----------
    config : Config
        The project.
    person : str
        A published `person_id`, a `user_id` or an `anonymous_id`.
    funnel : str
        A configured funnel or, for its stage funnel, a journey model.

    Returns
    -------
    ExplainedPerson
        With one attempt per counted unit, by entry.

    Raises
    ------
    NotFoundError
        When there is no such person or funnel.
    InputError
        When no run has ended well yet.
    """
    with open_build(config) as engine:
        about = _funnel(engine, funnel)
        person_key, person_id = _person(engine, person)
        steps = rows(engine, _STEPS, [about["funnel_index"]])
        units = rows(engine, _UNITS, [about["funnel_index"], person_key])
        attempts = tuple(_attempt(engine, config, about, steps, unit, person_key) for unit in units)
    note = None if attempts else _why_outside(about, steps)
    return ExplainedPerson(person_id, funnel, about["unit"], attempts, note)


def _funnel(engine: Engine, name: str) -> Row:
    known = rows(engine, _FUNNELS, [])
    for row in known:
        if row["funnel"] == name:
            return row
    raise NotFoundError(f"There is no funnel {name!r}; there is: {', '.join(row['funnel'] for row in known)}.")


def _person(engine: Engine, person: str) -> tuple[int, str]:
    found = rows(engine, _PERSON, [person])
    if not found:
        raise NotFoundError("There is no such person: give a published person_id, a user_id or an anonymous_id.")
    if len(found) > 1:
        raise NotFoundError(
            "This id belongs to several persons (as a user_id and as a device): give the published person_id."
        )
    return found[0]["person_key"], found[0]["person_id"]


def _attempt(
    engine: Engine, config: Config, about: Row, steps: list[Row], unit: Row, person_key: int
) -> ExplainedAttempt:
    reached = rows(engine, _REACHES, [about["funnel_index"], unit["attempt_ix"]])
    times = {row["step_index"]: row["reached_at"] for row in reached}
    reaches = tuple(ReachedStep(step["step_index"], step["step"], times.get(step["step_index"])) for step in steps)
    events = timeline(engine, config, about, person_key, unit["entered_at"], unit["closes_at"])
    outcome, reason = _ending(config, about, unit, reaches, events)
    return ExplainedAttempt(unit["entered_at"], unit["closes_at"], outcome, reason, reaches, events)


def _ending(
    config: Config, about: Row, unit: Row, reaches: tuple[ReachedStep, ...], events: tuple[TimelineEvent, ...]
) -> tuple[str, str]:
    """Return the outcome and, in a sentence, what ended the attempt."""
    depth, closes_at = unit["depth"], unit["closes_at"]
    if depth == len(reaches):
        return "converted", f"the last step, {reaches[-1].step}, was reached."
    missing = reaches[depth].step
    if unit["is_pending"]:
        return "pending", f"{missing} was not reached and still may be, until {closes_at} UTC."
    window = timedelta(seconds=about["window_seconds"])
    if closes_at >= unit["entered_at"] + window:
        return "dropped", f"{missing} was not reached within {duration_text(window)} of the first step."
    excluded = _excluded_at(closes_at, events)
    if excluded is not None:
        return "dropped", f"{excluded} at {closes_at} UTC is excluded after {reaches[depth - 1].step} and ended it."
    within = config.funnels[about["funnel"]].steps[depth].within or window
    return (
        "dropped",
        f"{missing} was not reached within {duration_text(within)} of the step before, by {closes_at} UTC.",
    )


def _excluded_at(instant: datetime, events: tuple[TimelineEvent, ...]) -> str | None:
    """Return the name of the excluded event of an instant, if there is one."""
    for event in events:
        if event.occurred_at == instant and any(match.startswith("exclusion ") for match in event.matches):
            return event.event_name
    return None


def _why_outside(about: Row, steps: list[Row]) -> str:
    if about["kind"] == "stages":
        return "None of the person's journeys has an event in a stage of this model."
    opening = "a step" if about["order_type"] == "any_order" else f"the step {steps[0]['step']}"
    return (
        f"No attempt of this person counts: no event matches {opening} on an entry day of this funnel, or an "
        "exclusion voided every attempt."
    )
