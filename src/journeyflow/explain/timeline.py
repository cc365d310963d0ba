"""What a person did in the time of an attempt, and which steps each event satisfies."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from journeyflow.config import Config
from journeyflow.config.predicates import Predicate, predicates
from journeyflow.engines import Engine
from journeyflow.explain.wording import Row, rows

MAX_EVENTS = 200
"""Most events that a timeline lists."""

_EVENTS = """
    select e.occurred_at, e.event_name, e.touchpoint, l.kind_ix, l.stage_index, s.stage
    from kernel.events as k
    join staging.events as e on e.event_ix = k.event_ix
    join kernel.labels as l on l.label_key = k.label_key
    join config.models as m on m.model_index = l.model_index and m.model = $2
    left join config.stages as s on s.model_index = l.model_index and s.stage_index = l.stage_index
    where k.person_key = $1 and e.occurred_at between $3 and $4
    order by e.occurred_at, e.sequence nulls last, e.event_id
    limit $5
"""
_TRUTHS = "select kind_ix, stage_index, predicate from config.kind_truths where is_true and starts_with(predicate, $1)"


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
    truths = {(row["predicate"], row["kind_ix"], row["stage_index"]) for row in rows(engine, _TRUTHS, [prefix])}
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
    return predicate.name, event["kind_ix"], event["stage_index"] if predicate.model else 0
