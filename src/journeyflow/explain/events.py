"""Why an event is in its stage."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from journeyflow.config import Config
from journeyflow.config.journey_models import JourneyModel, PlacedRule
from journeyflow.config.predicates import rule_predicate
from journeyflow.engines import Engine
from journeyflow.errors import NotFoundError
from journeyflow.explain.wording import Row, length, read_aloud, rows
from journeyflow.runner import open_build

_EVENT = """
    select e.event_ix, e.event_id, e.occurred_at, e.sequence, e.event_name, e.channel, e.touchpoint, e.is_bot,
        e.is_internal, k.person_key, k.journey_index, k.label_key, p.person_id
    from staging.events as e
    left join kernel.events as k on k.event_ix = e.event_ix
    left join journeys.persons as p on p.person_key = k.person_key
    where e.event_id = $1
    order by e.occurred_at, e.event_ix
"""
_LABELS = """
    select m.model, l.kind_ix, l.rule_index, coalesce(s.stage, 'unclassified') as stage
    from kernel.labels as l
    join config.models as m on m.model_index = l.model_index
    left join config.stages as s on s.model_index = l.model_index and s.stage_index = l.stage_index
    where l.label_key = $1
    order by m.model_index
"""
_TRUE_PREDICATES = "select distinct predicate from config.kind_truths where kind_ix = $1 and is_true"
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
    joins="""join kernel.labels as l on l.label_key = k.label_key and l.model_index = 1
    join config.kind_truths as t on t.kind_ix = l.kind_ix""",
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
    labels = rows(engine, _LABELS, [event["label_key"]]) if event["label_key"] is not None else []
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
    true = {row["predicate"] for row in rows(engine, _TRUE_PREDICATES, [label["kind_ix"]])}
    before = [rule for rule in model.rules if chosen is None or rule.rule_index < chosen.rule_index]
    passed_over = tuple(read_aloud(rule) for rule in before if rule_predicate(model.model, rule.rule_id) in true)
    if chosen is None:
        return Verdict(model.model, label["stage"], None, None, None, passed_over)
    history = _history(engine, model, chosen, event)
    return Verdict(model.model, label["stage"], chosen.rule_id, read_aloud(chosen), history, passed_over)


def _history(engine: Engine, model: JourneyModel, placed: PlacedRule, event: Row) -> str | None:
    """Find again the earlier events that a rule with history asks for."""
    place = [event["occurred_at"], event["sequence"], event["event_id"]]
    found = []
    if placed.rule.after:
        name = placed.rule.after.event
        at = rows(engine, _LAST_OF_NAME, [event["person_key"], name, *place])[0]["at"]
        if at is not None:
            found.append(f"the person's last {name} before it was {length(event['occurred_at'] - at)} earlier, {at}")
    if placed.rule.nth:
        earlier = rows(
            engine, _COUNT_OF_RULE, [event["person_key"], rule_predicate(model.model, placed.rule_id), *place]
        )[0]["n"]
        found.append(f"it is number {earlier + 1} of the person's such events")
    return "; ".join(found) or None
