"""Predicates: every condition on events in a configuration, with a name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from journeyflow.config.conditions import ALWAYS, Condition, Leaf, leaves
from journeyflow.config.config import Config, Persona
from journeyflow.config.journey_models import JourneyModel

EVENT_TYPE_FIELDS = ("event", "channel")
"""Fields that are columns of an event type. Conditions on other fields are *event-level*: one bit each."""


@dataclass(frozen=True)
class Predicate:
    """A condition on events, named as in the column `predicate` of `config.event_type_predicates`.

    Prefixes such as ``first.`` are removed. `model` is the model whose stages the condition reads; None for no stage.
    """

    name: str
    condition: Condition
    model: JourneyModel | None = None


def rule_predicate(model: str, rule_id: str) -> str:
    """Return the name of a stage rule's predicate."""
    return f"model/{model}/{rule_id}"


def step_predicate(funnel: str, step: str) -> str:
    """Return the name of a funnel step's predicate."""
    return f"funnel/{funnel}/{step}"


def exclusion_predicate(funnel: str, number: int) -> str:
    """Return the name of an exclusion's predicate; `number` is 1-based."""
    return f"funnel/{funnel}/exclusion/{number}"


def goal_predicate(goal: str) -> str:
    """Return the name of a goal's predicate."""
    return f"goal/{goal}"


def attribution_predicate(number: int) -> str:
    """Return the name of the predicate of an entry of `attribution.channels`; `number` is 1-based."""
    return f"attribution/{number}"


def first_predicate(persona: str, number: int) -> str:
    """Return the name of a persona's predicate on the journey's first event; `number` is 1-based."""
    return f"persona/{persona}/first/{number}"


def friction_predicate(name: str) -> str:
    """Return the name of a friction event's predicate."""
    return f"friction/{name}"


def promise_predicate(name: str, end: str) -> str:
    """Return the name of the predicate of a promise's start (``from``) or fulfilment (``to``)."""
    return f"promise/{name}/{end}"


def cohort_predicate(start: str, end: str) -> str:
    """Return the name of the predicate of a cohort's ``start`` or ``return``."""
    return f"cohort/{start}/{end}"


def predicates(config: Config) -> tuple[Predicate, ...]:
    """Return every predicate of a configuration, in its order; names are unique."""
    groups = (
        _of_models, _of_funnels, _of_goals, _of_personas, _of_friction, _of_promises, _of_cohorts, _of_attribution
    )  # fmt: skip
    return tuple(predicate for group in groups for predicate in group(config))


def event_level_conditions(config: Config) -> tuple[Leaf, ...]:
    """Return the distinct event-level leaves; the n-th, from 0, is bit n of an event's condition bits."""
    found = (leaf for predicate in predicates(config) for leaf in leaves(predicate.condition))
    return tuple(dict.fromkeys(leaf for leaf in found if leaf.field not in (*EVENT_TYPE_FIELDS, "stage")))


def first_leaves(persona: Persona) -> tuple[Leaf, ...]:
    """Return a persona's distinct leaves on the first event, without prefix, in the order of `first_predicate`."""
    found = (leaf for leaf in leaves(persona.when) if leaf.field.startswith("first."))
    return tuple(dict.fromkeys(Leaf(leaf.field.removeprefix("first."), leaf.operator, leaf.values) for leaf in found))


def reads_stage(condition: Condition) -> bool:
    """Return whether a condition reads the event's stage."""
    return any(leaf.field == "stage" for leaf in leaves(condition))


def _of_models(config: Config) -> Iterator[Predicate]:
    for model in config.journey_models:
        for placed in model.rules:
            yield Predicate(rule_predicate(model.model, placed.rule_id), placed.rule.when)


def _of_funnels(config: Config) -> Iterator[Predicate]:
    for name, funnel in config.funnels.items():
        model = config.journey_model(funnel.model) if funnel.model else None
        named = [(step_predicate(name, step.name), step.when) for step in funnel.steps]
        named += [(exclusion_predicate(name, n), exclusion.when) for n, exclusion in enumerate(funnel.exclusions, 1)]
        for predicate, condition in named:
            yield Predicate(predicate, condition, model if reads_stage(condition) else None)


def _of_goals(config: Config) -> Iterator[Predicate]:
    for name, goal in config.goals.items():
        yield Predicate(goal_predicate(name), goal.when)


def _of_personas(config: Config) -> Iterator[Predicate]:
    for persona in config.personas:
        for number, leaf in enumerate(first_leaves(persona), 1):
            yield Predicate(first_predicate(persona.name, number), leaf)


def _of_friction(config: Config) -> Iterator[Predicate]:
    for friction in config.friction:
        yield Predicate(friction_predicate(friction.name), friction.when)


def _of_promises(config: Config) -> Iterator[Predicate]:
    for promise in config.promises:
        if promise.from_ is not None and promise.to is not None:
            yield Predicate(promise_predicate(promise.name, "from"), promise.from_)
            yield Predicate(promise_predicate(promise.name, "to"), promise.to)


def _of_cohorts(config: Config) -> Iterator[Predicate]:
    """Yield no predicate for `any event`."""
    for name, cohort in config.cohorts.starts.items():
        for end, event in (("start", cohort.start), ("return", cohort.return_)):
            if event != ALWAYS:
                # A name that is no goal is refused before.
                condition = config.goals[event].when if isinstance(event, str) else event
                yield Predicate(cohort_predicate(name, end), condition)


def _of_attribution(config: Config) -> Iterator[Predicate]:
    for number, channel in enumerate(config.attribution.channels, 1):
        yield Predicate(attribution_predicate(number), channel.when)
