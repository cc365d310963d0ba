"""Named predicates: every condition on events in a configuration."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from journeyflow.config.conditions import Condition, Leaf, leaves
from journeyflow.config.config import Config
from journeyflow.config.journey_models import JourneyModel
from journeyflow.config.personas import Persona

EVENT_TYPE_FIELDS = ("event", "channel")
"""Fields that are columns of an event kind; any other field is *deep* and makes a bit of `truths`."""


@dataclass(frozen=True)
class Predicate:
    """A named condition on events.

    Parameters
    ----------
    name : str
        As in the column `predicate` of `config.event_type_predicates`.
    condition : Condition
        Free of prefixes such as ``first.``.
    model : JourneyModel or None
        The model whose stages the condition reads; None when it reads none.
    """

    name: str
    condition: Condition
    model: JourneyModel | None = None


def rule_predicate(model: str, rule_id: str) -> str:
    """Name the predicate of a stage rule's `when`."""
    return f"model/{model}/{rule_id}"


def step_predicate(funnel: str, step: str) -> str:
    """Name the predicate of a funnel step."""
    return f"funnel/{funnel}/{step}"


def exclusion_predicate(funnel: str, number: int) -> str:
    """Name the predicate of a funnel's exclusion, numbered from 1."""
    return f"funnel/{funnel}/exclusion/{number}"


def goal_predicate(goal: str) -> str:
    """Name the predicate of a goal."""
    return f"goal/{goal}"


def first_predicate(persona: str, number: int) -> str:
    """Name the predicate of a persona's condition on the journey's first event, numbered from 1."""
    return f"persona/{persona}/first/{number}"


def friction_predicate(name: str) -> str:
    """Name the predicate of a friction event."""
    return f"friction/{name}"


def promise_predicate(name: str, end: str) -> str:
    """Name the predicate of the event that starts (`from`) or keeps (`to`) a promise."""
    return f"promise/{name}/{end}"


def predicates(config: Config) -> tuple[Predicate, ...]:
    """Return every predicate of a configuration, in its order.

    Returns
    -------
    tuple of Predicate
        Models, funnels, goals, personas, friction, promises; names are unique.
    """
    groups = (_of_models, _of_funnels, _of_goals, _of_personas, _of_friction, _of_promises)
    return tuple(predicate for group in groups for predicate in group(config))


def event_level_conditions(config: Config) -> tuple[Leaf, ...]:
    """Return the distinct leaves that read more than an event kind's columns; bit n of `truths` is the n-th, from 0."""
    found = (leaf for predicate in predicates(config) for leaf in leaves(predicate.condition))
    return tuple(dict.fromkeys(leaf for leaf in found if leaf.field not in (*EVENT_TYPE_FIELDS, "stage")))


def first_leaves(persona: Persona) -> tuple[Leaf, ...]:
    """Return a persona's distinct leaves on the first event, without prefix; the n-th is `first_predicate(…, n)`."""
    found = (leaf for leaf in leaves(persona.when) if leaf.field.startswith("first."))
    return tuple(dict.fromkeys(Leaf(leaf.field.removeprefix("first."), leaf.operator, leaf.values) for leaf in found))


def reads_stage(condition: Condition) -> bool:
    """Tell whether a condition reads the event's stage."""
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
