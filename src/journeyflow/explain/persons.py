"""Why a person counts as converted, pending or dropped."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from journeyflow.config import Config
from journeyflow.engines import Engine
from journeyflow.errors import NotFoundError
from journeyflow.explain.timeline import TimelineEvent, timeline
from journeyflow.explain.wording import Row, length, rows
from journeyflow.runner import open_build

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


@dataclass(frozen=True)
class Reach:
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
    reaches = tuple(Reach(step["step_index"], step["step"], times.get(step["step_index"])) for step in steps)
    events = timeline(engine, config, about, person_key, unit["entered_at"], unit["closes_at"])
    outcome, reason = _ending(config, about, unit, reaches, events)
    return ExplainedAttempt(unit["entered_at"], unit["closes_at"], outcome, reason, reaches, events)


def _ending(
    config: Config, about: Row, unit: Row, reaches: tuple[Reach, ...], events: tuple[TimelineEvent, ...]
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
        return "dropped", f"{missing} was not reached within {length(window)} of the first step."
    excluded = _excluded_at(closes_at, events)
    if excluded is not None:
        return "dropped", f"{excluded} at {closes_at} UTC is excluded after {reaches[depth - 1].step} and ended it."
    within = config.funnels[about["funnel"]].steps[depth].within or window
    return "dropped", f"{missing} was not reached within {length(within)} of the step before, by {closes_at} UTC."


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
