"""Why a person counts as converted, pending or dropped."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from journeyflow.config import Config
from journeyflow.engines import Engine
from journeyflow.errors import NotFoundError
from journeyflow.explain.wording import Row, length, opened, rows

MAX_EVENTS = 200
"""Most events that a timeline lists."""

_FUNNELS = "select * from config.funnels order by funnel_index"
_STEPS = "select step_index, step from config.funnel_steps where funnel_index = $1 order by step_index"
_PERSON = """
    select person_key, person_id from journeys.persons where person_id = $1
    union
    select p.person_key, p.person_id from journeys.users as u
    join journeys.persons as p on p.person_key = u.person_key where u.user_id = $1
    union
    select p.person_key, p.person_id from journeys.identities as i
    join journeys.persons as p on p.person_key = i.person_key where i.anonymous_id = $1
"""
_UNITS = """
    select attempt_ix, journey_index, entered_at, depth, closes_at, is_pending
    from kernel.funnel_units where funnel_index = $1 and person_key = $2 order by entered_at, attempt_ix
"""
_REACHES = """
    select step_index, reached_at from kernel.funnel_reaches
    where funnel_index = $1 and attempt_ix = $2 order by step_index
"""
# A predicate that reads stages has one row per stage; one that does not has its only row at stage_index 0.
_TIMELINE = """
    with stage_readers as (
        select predicate, max(stage_index) > 0 as reads_stage from config.kind_truths
        where starts_with(predicate, $2) group by predicate
    ),
    true_predicates as (
        select distinct t.kind_ix, t.predicate, r.reads_stage, t.stage_index
        from config.kind_truths as t join stage_readers as r on r.predicate = t.predicate where t.is_true
    )
    select e.event_ix, e.occurred_at, e.event_name, e.touchpoint, t.predicate
    from kernel.events as k
    join staging.events as e on e.event_ix = k.event_ix
    join kernel.labels as l on l.label_key = k.label_key
    join config.models as m on m.model_index = l.model_index and m.model = $3
    left join true_predicates as t
        on t.kind_ix = l.kind_ix and (not t.reads_stage or t.stage_index = l.stage_index)
    where k.person_key = $1 and e.occurred_at >= $4 and e.occurred_at <= $5
    order by e.occurred_at, e.sequence nulls last, e.event_id, t.predicate
"""


@dataclass(frozen=True)
class Reach:
    """A step of a funnel and when the counted attempt reached it; null where it did not."""

    step_index: int
    step: str
    reached_at: datetime | None


@dataclass(frozen=True)
class TimelineEvent:
    """An event of the person, and the steps and exclusions of the funnel that it satisfies."""

    occurred_at: datetime
    event_name: str
    touchpoint: str
    matches: tuple[str, ...]


@dataclass(frozen=True)
class ExplainedAttempt:
    """A counted attempt: how far it came, why it ended there, and what the person did in its time."""

    entered_at: datetime
    closes_at: datetime
    outcome: str
    reason: str
    reaches: tuple[Reach, ...]
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
        When there is no such person or funnel, or there was no run.
    """
    with opened(config) as engine:
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
    times = {
        row["step_index"]: row["reached_at"]
        for row in rows(engine, _REACHES, [about["funnel_index"], unit["attempt_ix"]])
    }
    reaches = tuple(Reach(step["step_index"], step["step"], times.get(step["step_index"])) for step in steps)
    timeline = _timeline(engine, config, about, unit, person_key)
    outcome, reason = _ending(config, about, steps, unit, reaches, timeline)
    return ExplainedAttempt(unit["entered_at"], unit["closes_at"], outcome, reason, reaches, timeline)


def _ending(
    config: Config,
    about: Row,
    steps: list[Row],
    unit: Row,
    reaches: tuple[Reach, ...],
    timeline: tuple[TimelineEvent, ...],
) -> tuple[str, str]:
    """Return the outcome and, in a sentence, what closed the attempt."""
    depth, closes_at = unit["depth"], unit["closes_at"]
    if depth >= len(steps):
        return "converted", f"The last step, {steps[-1]['step']}, was reached."
    wanted = steps[depth]["step"]
    if unit["is_pending"]:
        return "pending", f"{wanted} was not reached and still may be, until {closes_at} UTC."
    deadline = unit["entered_at"] + timedelta(seconds=about["window_seconds"])
    if closes_at is None or closes_at >= deadline:
        return "dropped", f"{wanted} was not reached within {length(deadline - unit['entered_at'])} of the first step."
    excluded = next(
        (e for e in timeline if e.occurred_at == closes_at and any(m.startswith("exclusion") for m in e.matches)), None
    )
    if excluded:
        return (
            "dropped",
            f"{excluded.event_name} at {closes_at} UTC is an exclusion of this funnel and closed the attempt.",
        )
    within = _within(config, about["funnel"], depth)
    limit = f"{length(within)} " if within else "the time allowed "
    return (
        "dropped",
        f"{wanted} was not reached within {limit}of {steps[depth - 1]['step']}; that ended at {closes_at} UTC.",
    )


def _within(config: Config, funnel: str, depth: int) -> timedelta | None:
    return config.funnels[funnel].steps[depth].within if funnel in config.funnels else None


def _timeline(engine: Engine, config: Config, about: Row, unit: Row, person_key: int) -> tuple[TimelineEvent, ...]:
    model = about["model"] or config.journey_models[0].model
    prefix = f"funnel/{about['funnel']}/"
    last = unit["closes_at"] or unit["entered_at"] + timedelta(seconds=about["window_seconds"])
    found = rows(engine, _TIMELINE, [person_key, prefix, model, unit["entered_at"], last])
    events = []
    for _, group in groupby(found, key=lambda row: row["event_ix"]):
        same = list(group)
        matches = tuple(row["predicate"].removeprefix(prefix) for row in same if row["predicate"])
        events.append(TimelineEvent(same[0]["occurred_at"], same[0]["event_name"], same[0]["touchpoint"], matches))
    return tuple(events[:MAX_EVENTS])


def _why_outside(about: Row, steps: list[Row]) -> str:
    first = steps[0]["step"]
    if about["kind"] == "stages":
        return "None of the person's journeys has an event in a stage of this model."
    return (
        f"No event of this person opened an attempt: none matches the step {first} on an entry day of this funnel, "
        "or an exclusion voided every attempt."
    )
