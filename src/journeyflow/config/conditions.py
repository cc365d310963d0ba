"""Conditions as a small tree of frozen values, and how one is read aloud."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

Scalar = str | int | float | bool
Operator = Literal[
    "in",
    "not_in",
    "prefix",
    "suffix",
    "contains",
    "glob",
    "regex",
    "exists",
    "above",
    "at_least",
    "below",
    "at_most",
    "between",
]
TEXT_OPERATORS = ("prefix", "suffix", "contains", "glob", "regex")
NUMBER_OPERATORS = ("above", "at_least", "below", "at_most")
EVENT_FIELDS = (
    "event",
    "channel",
    "page_path",
    "referrer_host",
    "utm_source",
    "utm_medium",
    "utm_campaign",
    "utm_term",
    "utm_content",
    "revenue_amount",
    "source",
    "target",
)
"""Fields of an event beside ``properties.<key>``; allowed wherever a condition judges events."""
TRAFFIC_FIELDS = ("user_id", "anonymous_id", "session_id", "user_agent")
"""Further fields of an event, only where traffic is kept or excluded: they belong nowhere else."""
NUMERIC_FIELDS = ("revenue_amount", "session_count", "days_since_last")
PERSONA_FIELDS = ("session_count", "days_since_last")
_NUMBER_WORDS = {"above": "above", "at_least": "at least", "below": "below", "at_most": "at most"}


@dataclass(frozen=True)
class Leaf:
    """One test of one field.

    Parameters
    ----------
    field : str
        As written, e.g. ``event``, ``properties.plan``, ``trait.country``.
    operator : str
        `is` and a list are both ``in``; `not` is ``not_in``.
    values : tuple
        What the field is compared with: one or more, any of which will do; two for ``between``.
    """

    field: str
    operator: Operator
    values: tuple[Scalar, ...]


@dataclass(frozen=True)
class All:
    """Every part holds; without parts it always holds."""

    parts: tuple[Condition, ...] = ()


@dataclass(frozen=True)
class Any_:
    """At least one part holds."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True)
class Not:
    """The part does not hold."""

    part: Condition


Condition = Leaf | All | Any_ | Not
ALWAYS = All()


def leaves(condition: Condition) -> Iterator[Leaf]:
    """Yield the leaves of a condition from left to right."""
    if isinstance(condition, Leaf):
        yield condition
    elif isinstance(condition, Not):
        yield from leaves(condition.part)
    else:
        for part in condition.parts:
            yield from leaves(part)


def map_leaves(condition: Condition, change: Callable[[Leaf], Leaf]) -> Condition:
    """Return the condition with every leaf replaced by `change(leaf)`."""
    if isinstance(condition, Leaf):
        return change(condition)
    if isinstance(condition, Not):
        return Not(map_leaves(condition.part, change))
    return type(condition)(tuple(map_leaves(part, change) for part in condition.parts))


def render(condition: Condition) -> str:
    """Read a condition aloud, for `personas.rule` and `explain`.

    Examples
    --------
    >>> render(All((Leaf("event", "in", ("purchase",)), Leaf("revenue_amount", "at_least", (100,)))))
    'event is purchase and revenue_amount is at least 100'
    """
    if isinstance(condition, Leaf):
        return _render_leaf(condition)
    if isinstance(condition, Not):
        return f"not ({render(condition.part)})"
    if not condition.parts:
        return "any event"
    word = " and " if isinstance(condition, All) else " or "
    return word.join(render(part) if isinstance(part, Leaf | Not) else f"({render(part)})" for part in condition.parts)


def to_plain(condition: Condition) -> object:
    """Return a condition as nested lists and scalars, equal exactly when the conditions are."""
    if isinstance(condition, Leaf):
        return [condition.field, condition.operator, list(condition.values)]
    if isinstance(condition, Not):
        return {"not": to_plain(condition.part)}
    return {"all" if isinstance(condition, All) else "any": [to_plain(part) for part in condition.parts]}


def is_numeric_field(field: str) -> bool:
    """Tell whether a field is a number by itself, not a text that may read as one."""
    return field.startswith("count.") or field.removeprefix("first.") in NUMERIC_FIELDS


def _render_leaf(leaf: Leaf) -> str:
    values = [_render_value(value) for value in leaf.values]
    listed = values[0] if len(values) == 1 else f"one of {', '.join(values)}"
    if leaf.operator == "in":
        return f"{leaf.field} is {listed}"
    if leaf.operator == "not_in":
        return f"{leaf.field} is not {listed}"
    if leaf.operator == "exists":
        return f"{leaf.field} is {'present' if leaf.values[0] else 'missing'}"
    if leaf.operator == "between":
        return f"{leaf.field} is between {values[0]} and {values[1]}"
    if leaf.operator in NUMBER_OPERATORS:
        return f"{leaf.field} is {_NUMBER_WORDS[leaf.operator]} {values[0]}"
    verb = {"prefix": "starts with", "suffix": "ends with", "contains": "contains"}.get(
        leaf.operator, f"matches {leaf.operator}"
    )
    return f"{leaf.field} {verb} {' or '.join(values)}"


def _render_value(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
