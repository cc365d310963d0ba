"""Conditions: a frozen tree, its text form, and the parser of its YAML form."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema
from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError

from journeyflow.utils.files import Loc

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
OPERATORS = ("is", "not", "in", "not_in", *TEXT_OPERATORS, "exists", *NUMBER_OPERATORS, "between")
COMBINERS = ("all", "any", "not")
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
"""Fields of an event, with ``properties.<key>``; allowed in every condition on events."""
TRAFFIC_FIELDS = ("user_id", "anonymous_id", "session_id", "user_agent")
"""Further fields of an event, only in conditions that filter traffic."""
NUMERIC_FIELDS = ("revenue_amount", "session_count", "days_since_last")
PERSONA_FIELDS = ("session_count", "days_since_last")


@dataclass(frozen=True)
class Leaf:
    """A test of one field, such as ``properties.plan``, against one or more values; ``between`` has two.

    The matchers `is` and a list become ``in``, and `not` becomes ``not_in``.
    """

    field: str
    operator: Operator
    values: tuple[Scalar, ...]


@dataclass(frozen=True)
class All:
    """True when every part is; without parts always true."""

    parts: tuple[Condition, ...] = ()


@dataclass(frozen=True)
class Any_:
    """True when at least one part is."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True)
class Not:
    """True when the part is not."""

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


def to_plain(condition: Condition) -> object:
    """Return a condition as nested lists and scalars, for the hash of a configuration."""
    if isinstance(condition, Leaf):
        return [condition.field, condition.operator, list(condition.values)]
    if isinstance(condition, Not):
        return {"not": to_plain(condition.part)}
    return {"all" if isinstance(condition, All) else "any": [to_plain(part) for part in condition.parts]}


@dataclass(frozen=True)
class Scope:
    """The fields that conditions of a section may read: names, and prefixes such as ``properties.``."""

    fields: tuple[str, ...]
    prefixes: tuple[str, ...]

    def holds(self, field: str) -> bool:
        """Return whether a condition in this scope may read `field`."""
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
        """The allowed fields, for error messages."""
        return (*self.fields, *(f"{prefix}<name>" for prefix in self.prefixes))


def is_property_key(key: str) -> bool:
    """Return whether `key` can be the key of a property: names, joined by points for nested objects."""
    return all(part and part.isprintable() for part in key.split("."))


def is_property(field: str) -> bool:
    """Return whether a field is ``properties.<key>``."""
    return field.startswith("properties.") and is_property_key(field.removeprefix("properties."))


EVENTS = Scope(EVENT_FIELDS, ("properties.",))
FUNNELS = Scope((*EVENT_FIELDS, "stage"), ("properties.",))
TRAFFIC = Scope((*EVENT_FIELDS, *TRAFFIC_FIELDS), ("properties.",))
PERSONAS = Scope(PERSONA_FIELDS, ("trait.", "first.", "count."))


def is_numeric_field(field: str) -> bool:
    """Return whether a field has a numeric type, unlike a text that may contain a number."""
    return field.startswith("count.") or field.removeprefix("first.") in NUMERIC_FIELDS


_NUMBER_WORDS = {"above": "above", "at_least": "at least", "below": "below", "at_most": "at most"}


def render(condition: Condition) -> str:
    """Return a condition as text, for `personas.rule` and `explain`.

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


_MAX_DEPTH = 20


def parse(raw: object, scope: Scope = EVENTS) -> Condition:
    """Return the condition of a YAML mapping; ValidationError lists every mistake with its place in the condition."""
    if isinstance(raw, Leaf | All | Any_ | Not):
        return raw
    mistakes: list[InitErrorDetails] = []
    condition = _Parser(mistakes, scope).mapping(raw, ())
    if mistakes:
        raise ValidationError.from_exception_data("condition", mistakes)
    return condition


class _Parser:
    """Builds a condition from its YAML form and collects the mistakes, so that all are reported at once."""

    def __init__(self, mistakes: list[InitErrorDetails], scope: Scope) -> None:
        self.mistakes = mistakes
        self.scope = scope

    def mapping(self, raw: object, loc: Loc) -> Condition:
        if len(loc) > 2 * _MAX_DEPTH:
            return self._wrong("condition_depth", "is nested too deeply", None, loc, f"at most {_MAX_DEPTH} levels")
        if not isinstance(raw, dict):
            allowed = "a mapping of fields to matchers, such as {event: purchase}"
            return self._wrong("condition", "is not a condition", raw, loc, allowed)
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
            value = None if isinstance(operand, list | dict) else operand
            return self._wrong("operand", problem[0], value, loc, problem[1])
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
        return None if is_range else ("is not a range", "two numbers, the smaller first: [1, 5]")
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
        return "is not an RE2 regular expression", "RE2 syntax: no look-around, no back-references"
    return None


def _value_problem(values: tuple[Any, ...]) -> tuple[str, str] | None:
    for value in values:
        if not (isinstance(value, bool) or _is_number(value) or (isinstance(value, str) and "\0" not in value)):
            return "is not a value", (
                "a text, a number, true or false, or a list of them; for a missing field {exists: false}"
            )
    return None


def _is_re2(pattern: str) -> bool:
    """Compile with Arrow, which uses RE2 like the database."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        pc.match_substring_regex(pa.array([""]), pattern=pattern)
    except (pa.ArrowInvalid, UnicodeEncodeError):
        return False
    return True


def _is_number(value: object) -> bool:
    """Return whether a value is a finite number in the range of DECIMAL(38, 10), bool excluded."""
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
"""A condition on events, as the type of a key."""
FunnelCondition = Annotated[Condition, *_field(FUNNELS)]
TrafficCondition = Annotated[Condition, *_field(TRAFFIC)]
PersonaCondition = Annotated[Condition, *_field(PERSONAS)]
