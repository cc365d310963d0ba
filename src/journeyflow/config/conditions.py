"""Conditions: parser, frozen tree, and text form."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema
from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError

from journeyflow.config.problems import Loc

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


OPERATORS = ("is", "not", "in", "not_in", *TEXT_OPERATORS, "exists", *NUMBER_OPERATORS, "between")
COMBINERS = ("all", "any", "not")
_MAX_DEPTH = 20


@dataclass(frozen=True)
class Scope:
    """The fields that conditions of one section may read: whole names, and beginnings such as ``properties.``."""

    fields: tuple[str, ...]
    prefixes: tuple[str, ...]

    def holds(self, field: str) -> bool:
        """Tell whether a condition in this scope may read `field`."""
        if field in self.fields:
            return True
        prefix, point, name = field.partition(".")
        if f"{prefix}{point}" not in self.prefixes or not name:
            return False
        if prefix == "first":
            return EVENTS.holds(name)
        return prefix != "properties" or is_property_key(name)

    @property
    def names(self) -> tuple[str, ...]:
        """What to tell a user who wrote another field."""
        return (*self.fields, *(f"{prefix}<name>" for prefix in self.prefixes))


def is_property_key(key: str) -> bool:
    """Tell whether a property can be read by `key`: names with points between them for nested objects."""
    return all(part and part.isprintable() for part in key.split("."))


def is_property(field: str) -> bool:
    """Tell whether a field is ``properties.<key>``."""
    return field.startswith("properties.") and is_property_key(field.removeprefix("properties."))


EVENTS = Scope(EVENT_FIELDS, ("properties.",))
FUNNELS = Scope((*EVENT_FIELDS, "stage"), ("properties.",))
TRAFFIC = Scope((*EVENT_FIELDS, *TRAFFIC_FIELDS), ("properties.",))
PERSONAS = Scope(PERSONA_FIELDS, ("trait.", "first.", "count."))


def parse(raw: object, scope: Scope = EVENTS) -> Condition:
    """Read a condition from its YAML form.

    Parameters
    ----------
    raw : dict
        field → matcher, with `all`, `any` and `not` to combine; empty matches any event.
    scope : Scope
        The fields it may read.

    Returns
    -------
    Condition

    Raises
    ------
    pydantic_core.ValidationError
        With one entry for every mistake, each with its place below the condition.
    """
    if isinstance(raw, Leaf | All | Any_ | Not):
        return raw
    mistakes: list[InitErrorDetails] = []
    condition = _Parser(mistakes, scope).mapping(raw, ())
    if mistakes:
        raise ValidationError.from_exception_data("condition", mistakes)
    return condition


class _Parser:
    """Walks the raw form; mistakes are collected, so that all are told at once."""

    def __init__(self, mistakes: list[InitErrorDetails], scope: Scope) -> None:
        self.mistakes = mistakes
        self.scope = scope

    def mapping(self, raw: object, loc: Loc) -> Condition:
        if len(loc) > 2 * _MAX_DEPTH:
            return self._wrong("condition_depth", "is nested too deeply", None, loc, f"at most {_MAX_DEPTH} levels")
        if not isinstance(raw, dict):
            return self._wrong(
                "condition",
                "is not a condition",
                raw,
                loc,
                "a mapping of fields to matchers, such as {event: purchase}",
            )
        parts = tuple(part for key, value in raw.items() for part in self._entry(str(key), value, (*loc, str(key))))
        return parts[0] if len(parts) == 1 else All(parts)

    def _entry(self, key: str, value: object, loc: Loc) -> tuple[Condition, ...]:
        if key == "not":
            return (Not(self.mapping(value, loc)),)
        if key in COMBINERS:
            return (self._combined(key, value, loc),)
        if not self.scope.holds(key):
            return (self._wrong("unknown_field", "is not a field here", key, loc, self.scope.names),)
        return self._matchers(key, value, loc)

    def _combined(self, key: str, value: object, loc: Loc) -> Condition:
        if not isinstance(value, list) or not value:
            return self._wrong("condition_list", "needs a list of conditions", None, loc, f"{key}: [{{…}}, {{…}}]")
        parts = tuple(self.mapping(item, (*loc, index)) for index, item in enumerate(value))
        return All(parts) if key == "all" else Any_(parts)

    def _matchers(self, field: str, value: object, loc: Loc) -> tuple[Condition, ...]:
        if not isinstance(value, dict):
            return (self._leaf(field, "is", value, loc),)
        if not value:
            return (self._wrong("matcher", "has no matcher", None, loc, ", ".join(OPERATORS)),)
        return tuple(self._leaf(field, str(name), operand, (*loc, str(name))) for name, operand in value.items())

    def _leaf(self, field: str, name: str, operand: object, loc: Loc) -> Condition:
        if name not in OPERATORS:
            return self._wrong("matcher", "is not a matcher", name, loc, OPERATORS)
        values = tuple(operand) if isinstance(operand, list) else (operand,)
        problem = _operand_problem(field, name, values)
        if problem:
            return self._wrong(
                "operand", problem[0], None if isinstance(operand, list | dict) else operand, loc, problem[1]
            )
        operator: Any = {"is": "in", "not": "not_in"}.get(name, name)
        return Leaf(field, operator, values)

    def _wrong(self, code: str, text: str, value: object, loc: Loc, allowed: str | tuple[str, ...]) -> Condition:
        error = PydanticCustomError(code, text, {"allowed": allowed})
        self.mistakes.append(InitErrorDetails(type=error, loc=loc, input=value))
        return ALWAYS


def _operand_problem(field: str, name: str, values: tuple[Any, ...]) -> tuple[str, str] | None:
    if not values:
        return "is an empty list", "one value or more"
    if name == "exists":
        return None if len(values) == 1 and isinstance(values[0], bool) else ("is not true or false", "true, false")
    if name == "between":
        is_range = len(values) == 2 and all(map(_is_number, values)) and values[0] <= values[1]
        return None if is_range else ("is not a range", "two numbers, the lesser first: [1, 5]")
    if name in NUMBER_OPERATORS:
        return None if len(values) == 1 and _is_number(values[0]) else ("is not a number", "one number")
    if is_numeric_field(field):
        is_numeric = name not in TEXT_OPERATORS and all(map(_is_number, values))
        return None if is_numeric else ("does not fit a field that is a number", "numbers, with is, not, in, not_in")
    return _text_problem(name, values) if name in TEXT_OPERATORS else _value_problem(values)


def _text_problem(name: str, values: tuple[Any, ...]) -> tuple[str, str] | None:
    if not all(isinstance(value, str) and value and "\0" not in value for value in values):
        return "is not a text", "a text or a list of texts"
    if name == "regex" and not all(map(_is_re2, values)):
        return "is not a regular expression that RE2 knows", "RE2 syntax: no look-around, no back-references"
    return None


def _value_problem(values: tuple[Any, ...]) -> tuple[str, str] | None:
    if all(
        (isinstance(value, str) and "\0" not in value) or isinstance(value, bool) or _is_number(value)
        for value in values
    ):
        return None
    return "is not a value", "a text, a number, true or false, or a list of them; for a missing field {exists: false}"


def _is_re2(pattern: str) -> bool:
    """Ask Arrow, whose regular expressions are RE2 as the database's are; Python's differ."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        pc.match_substring_regex(pa.array([""]), pattern=pattern)
    except (pa.ArrowInvalid, UnicodeEncodeError):
        return False
    return True


def _is_number(value: object) -> bool:
    """Tell whether a value is a number that DECIMAL(38, 10) holds exactly enough; NaN and infinities are not."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 10**18


_MATCHER_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": ["string", "number", "boolean"]},
        {"type": "array", "items": {"type": ["string", "number", "boolean"]}, "minItems": 1},
        {"type": "object", "propertyNames": {"enum": list(OPERATORS)}, "minProperties": 1},
    ]
}
_SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "A condition: fields and what they must match; all, any and not combine conditions.",
    "properties": {"all": {"type": "array"}, "any": {"type": "array"}, "not": {"type": "object"}},
    "additionalProperties": _MATCHER_SCHEMA,
}


def _field(scope: Scope) -> tuple[Any, ...]:
    return PlainValidator(lambda raw: parse(raw, scope)), PlainSerializer(to_plain), WithJsonSchema(_SCHEMA)


ConditionField = Annotated[Condition, *_field(EVENTS)]
"""A condition on events as a field of a section."""
FunnelCondition = Annotated[Condition, *_field(FUNNELS)]
TrafficCondition = Annotated[Condition, *_field(TRAFFIC)]
PersonaCondition = Annotated[Condition, *_field(PERSONAS)]
