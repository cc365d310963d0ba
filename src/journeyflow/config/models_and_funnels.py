"""Sections `models` (built-in ones, vocabulary), `funnels`, `goals`, `cohorts`, `attribution` and `currency`."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    PrivateAttr,
    StrictInt,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from journeyflow.config.base import (
    PATTERN,
    Duration,
    Label,
    Name,
    PositiveDuration,
    Section,
    Text,
    format_duration,
    parse_duration,
)
from journeyflow.config.conditions import (
    ALWAYS,
    EVENTS,
    Condition,
    ConditionField,
    FunnelCondition,
    Leaf,
    is_property,
    is_property_key,
    parse,
    to_plain,
)
from journeyflow.utils.files import read_yaml

BUILTIN_MODELS = ("four_stage", "value_journey")
Ordinal = Annotated[StrictInt, Field(ge=1)]


class After(Section):
    """Condition on history: an earlier event of the same person."""

    event: Text
    """Name of the earlier event."""
    within: PositiveDuration
    """Longest time since that event."""


class Nth(Section):
    """Condition on history: the ordinal of the event among the person's events that satisfy `when`."""

    at_least: Ordinal | None = None
    """This ordinal or a higher one."""
    is_: Ordinal | None = Field(default=None, alias="is")
    """Exactly this ordinal."""

    @model_validator(mode="after")
    def _one_bound(self) -> Self:
        if (self.at_least is None) == (self.is_ is None):
            raise PydanticCustomError("nth", "needs exactly one bound", {"allowed": "one of at_least, is"})
        return self


class Rule(Section):
    """A rule that assigns events to a stage."""

    id: Name
    """Name of the rule, unique in the model; shown in the table `event_kinds` and by `journeyflow explain`."""
    when: ConditionField
    """Events that the rule assigns."""
    after: After | None = None
    """Only after an earlier event of the same person."""
    nth: Nth | None = None
    """Only the person's n-th such event."""

    @property
    def has_history(self) -> bool:
        """Whether the rule depends on earlier events of the person."""
        return self.after is not None or self.nth is not None

    @property
    def is_repeat(self) -> bool:
        """Whether the rule asks for the second such event of a person, or a later one."""
        return self.nth is not None and (self.nth.at_least or self.nth.is_ or 1) > 1


class Stage(Section):
    """A stage of a model."""

    name: Name
    """Name of the stage, unique in the model."""
    label: Label | None = None
    """What people read in place of the name, on the page and in headlines. Tables keep the name."""
    owner: Text | None = None
    """The team or person responsible. Default: that of `map.owners`."""
    rules: tuple[Rule, ...] = ()
    """Rules that assign events to the stage. Over all stages, those with `after` or `nth` are tried first; the first
    match wins.
    """


def _builtin(raw: object) -> object:
    return {"builtin": True} if raw == "builtin" else raw


class ModelSection(Section):
    """A journey model: a built-in one, or user-defined stages that may extend another model."""

    builtin: bool = False
    """Written as `four_stage: builtin`."""
    extends: Name | None = None
    """A model whose stages and rules are inherited; the rules written here are tried first."""
    stages: Annotated[tuple[Stage, ...], Field(min_length=1, max_length=50)] | None = None
    """Stages in the order of the journey."""

    @model_validator(mode="after")
    def _stages_or_builtin(self) -> Self:
        if self.builtin == (self.stages is not None) or (self.builtin and self.extends):
            raise PydanticCustomError(
                "model", "is not a model", {"allowed": "builtin, or a mapping with stages and optionally extends"}
            )
        return self


ModelField = Annotated[ModelSection, BeforeValidator(_builtin)]


@dataclass(frozen=True)
class PlacedRule:
    """A rule of a resolved model; `rule_index` is its 1-based position in the order of matching."""

    rule_id: str
    rule_index: int
    stage: str
    stage_index: int
    rule: Rule


@dataclass(frozen=True)
class JourneyModel:
    """A resolved model with everything it inherits; `model_index` is 1-based, in the order of the configuration.

    Stages are in the order of the journey, and their `rules` are empty. All rules are in `rules`, in the order of
    matching: the first match wins.
    """

    model: str
    model_index: int
    stages: tuple[Stage, ...]
    rules: tuple[PlacedRule, ...]

    @property
    def stage_names(self) -> tuple[str, ...]:
        """Names of the stages in the order of the journey."""
        return tuple(stage.name for stage in self.stages)


def resolve_models(sections: Mapping[str, ModelSection]) -> tuple[JourneyModel, ...]:
    """Resolve `builtin` and `extends` of every model; `validation` reports unknown and circular references."""
    return tuple(_resolved(name, index, sections) for index, name in enumerate(sections, start=1))


def builtin_model(name: str) -> JourneyModel:
    """Return the built-in model `name` as if it were the only one."""
    return _resolved(name, 1, {name: ModelSection(builtin=True)})


def _resolved(name: str, index: int, sections: Mapping[str, ModelSection]) -> JourneyModel:
    layers = _layers(name, sections)
    stages: dict[str, Stage] = {}
    for layer in reversed(layers):
        for stage in layer:
            inherited = stages.get(stage.name)
            owner = stage.owner or (inherited.owner if inherited else None)
            label = stage.label or (inherited.label if inherited else None)
            stages[stage.name] = Stage(name=stage.name, label=label, owner=owner)
    names = list(stages)
    ordered = [placed for layer in layers for placed in _in_matching_order(layer)]
    rules = tuple(
        PlacedRule(rule.id, rule_index, stage, names.index(stage) + 1, rule)
        for rule_index, (stage, rule) in enumerate(ordered, start=1)
    )
    return JourneyModel(name, index, tuple(stages.values()), rules)


def _layers(name: str, sections: Mapping[str, ModelSection]) -> list[tuple[Stage, ...]]:
    """Return the stages of a model, then those of each model it extends."""
    layers: list[tuple[Stage, ...]] = []
    seen: set[str] = set()
    current: str | None = name
    while current is not None and current not in seen:
        seen.add(current)
        section = sections.get(current)
        if section is None or section.builtin:
            return [*layers, builtin_stages(current)] if current in BUILTIN_MODELS else layers
        layers.append(section.stages or ())
        current = section.extends
    return layers


def _in_matching_order(layer: tuple[Stage, ...]) -> list[tuple[str, Rule]]:
    """Return stage and rule pairs of a layer; a rule with history narrows one without, so it comes first."""
    pairs = [(stage.name, rule) for stage in layer for rule in stage.rules]
    return sorted(pairs, key=lambda pair: not pair[1].has_history)


@cache
def builtin_stages(name: str) -> tuple[Stage, ...]:
    """Return the stages of the built-in model `name` with their rules."""
    data = (files("journeyflow.config") / "builtin" / f"{name}.yml").read_bytes()
    return ModelSection.model_validate(read_yaml(data).content).stages or ()


@dataclass(frozen=True)
class Word:
    """An event name of the vocabulary, and its meaning in one sentence.

    Words that may occur anywhere in a journey are not staged: the built-in models leave them unclassified. Passive
    words reach a person without an act of theirs.
    """

    event: str
    meaning: str
    is_staged: bool
    is_passive: bool


@cache
def vocabulary() -> tuple[Word, ...]:
    """Return every event name of the vocabulary, in the order of a journey."""
    content = read_yaml((files("journeyflow.config") / "builtin" / "vocabulary.yml").read_bytes()).content
    return tuple(
        Word(event, meaning, is_staged=group == "staged", is_passive=event in content["passive"])
        for group in ("staged", "anywhere")
        for event, meaning in content[group].items()
    )


@cache
def referrers() -> tuple[tuple[str, str], ...]:
    """Return the known sites that visits come from, each with its marketing channel."""
    content = read_yaml((files("journeyflow.config") / "builtin" / "referrers.yml").read_bytes()).content
    return tuple((site, channel) for channel, sites in content.items() for site in sites)


CurrencyCode = Annotated[str, StringConstraints(strict=True, pattern=r"^[A-Z]{3}$")]


def _value(raw: str) -> str:
    if raw == "revenue_amount" or is_property(raw):
        return raw
    raise PydanticCustomError("goal_value", "is not an amount", {"allowed": "revenue_amount, properties.<key>"})


def _decimal(raw: object) -> object:
    return Decimal(str(raw)) if isinstance(raw, int | float) and not isinstance(raw, bool) else raw


Rate = Annotated[Decimal, BeforeValidator(_decimal), Field(gt=0, max_digits=18, decimal_places=8)]


class Goal(Section):
    """A conversion and, optionally, its value."""

    when: ConditionField
    """Events that count as the conversion."""
    value: Annotated[Text, AfterValidator(_value)] | None = None
    """Field with the amount of such an event: `revenue_amount` or `properties.<key>`."""


class Currency(Section):
    """The report currency, and exchange rates into it."""

    report: CurrencyCode = "EUR"
    """ISO 4217 code of the report currency."""
    rates: dict[CurrencyCode, Rate] = Field(default_factory=dict)
    """Code → value of one unit in the report currency. A sum with an amount that has no rate is null."""


class AttributionChannel(Section):
    """A marketing channel, by a condition on events."""

    name: Name
    """Name of the channel. Several entries may have one name. `none` means that such events are no touch; `direct` is a
    touch only where a journey has no other.
    """
    when: ConditionField
    """Events that came by this channel."""


class Attribution(Section):
    """Which channels led to the goals; `semantics.md` defines touches, paths and methods."""

    goal: Name | None = None
    """The goal whose events are credited to channels. Default: each goal."""
    lookback: PositiveDuration = timedelta(days=30)
    """How long before a goal a touch may be to be credited."""
    unit: Literal["each", "first"] = "each"
    """`each`: every event of the goal is credited. `first`: only that of a person's first."""
    channels: Annotated[tuple[AttributionChannel, ...], Field(max_length=50)] = ()
    """Marketing channels; the first match wins. Without a match the channel follows from the data: the medium of the
    visit, its source, the kind of its referrer, else `direct`; of an offline event, its `channel`.
    """
    half_life: PositiveDuration = timedelta(days=7)
    """Age at which a touch counts half, in the method `decay`."""


def default_goals() -> dict[str, Goal]:
    """Return the default goal: an order and its revenue."""
    return {"order": Goal(when=Leaf("event", "in", ("purchase",)), value="revenue_amount")}


class Step(Section):
    """A step of a funnel."""

    name: Name
    """Name of the step, unique in the funnel."""
    when: FunnelCondition = ALWAYS
    """Events that reach the step. Default: any event."""
    within: PositiveDuration | None = None
    """Longest time since the previous step; not on the first step."""


class Exclusion(Section):
    """Events between two steps that end an attempt."""

    between: tuple[Name, Name]
    """Names of two steps, the earlier first."""
    when: FunnelCondition
    """Events that end the attempt."""
    then: Literal["drop", "person"] = "drop"
    """`drop`: the attempt counts as dropped off. `person`: the attempt does not count."""


def _date(raw: object) -> object:
    if isinstance(raw, date):
        return raw
    try:
        return date.fromisoformat(str(raw))
    except ValueError:
        raise PydanticCustomError("date", "is not a date", {"allowed": "a day such as 2026-01-31"}) from None


Day = Annotated[date, BeforeValidator(_date)]


class Entered(Section):
    """Days on which an attempt may begin, both inclusive, in the project's time zone."""

    from_: Day | None = Field(default=None, alias="from")
    """First day of entry."""
    to: Day | None = None
    """Last day of entry."""


def _unit(raw: object) -> object:
    if isinstance(raw, str | Unit):
        return raw if isinstance(raw, Unit) else {"kind": raw}
    return {"kind": "property", **raw} if isinstance(raw, dict) else raw


def _property_key(raw: str) -> str:
    if is_property_key(raw):
        return raw
    raise PydanticCustomError(
        "property_key", "is not the key of a property", {"allowed": "a key, or keys joined by points"}
    )


class Unit(Section):
    """The unit that a funnel counts."""

    kind: Literal["person", "session", "property"] = "person"
    """Written as `unit: person` or `unit: session`."""
    property: Annotated[Text, AfterValidator(_property_key)] | None = None
    """Key of the event property whose values are counted; events without it are ignored."""

    def __str__(self) -> str:
        """Return the value of the column `unit`: ``person``, ``session`` or the property's key."""
        return self.property or self.kind


class Funnel(Section):
    """A funnel; `semantics.md` defines the meaning of every setting."""

    steps: Annotated[tuple[Step, ...], Field(min_length=2, max_length=20)]
    """Steps in order, two to twenty."""
    model: Name | None = None
    """Journey model of the field `stage` in conditions of steps."""
    order: Literal["ordered", "strict", "any_order"] = "ordered"
    """`ordered`: other events may come between the steps. `strict`: none may. `any_order`: the steps may come in any
    order.
    """
    window: PositiveDuration = timedelta(days=14)
    """Conversion window: longest time from the first step to the last, inclusive."""
    ties: Literal["same_instant", "strictly_later"] = "same_instant"
    """Whether a step may be reached at the same instant as the previous one."""
    grace: Duration = timedelta(0)
    """How much earlier than the previous step a step may be; only with `ordered`."""
    unit: Annotated[Unit, BeforeValidator(_unit)] = Unit()
    """Unit of all counts: `person`, `session`, or `{property: <key>}`."""
    count: Literal["best", "attempts"] = "best"
    """Which attempts of a unit count: the deepest one, or all, one after another."""
    goal: Name | None = None
    """Goal whose value is at stake in a drop-off."""
    exclusions: Annotated[tuple[Exclusion, ...], Field(max_length=62)] = ()
    """Events between steps that end an attempt; at most 62."""
    entered: Entered = Entered()
    """Days on which an attempt may begin; later steps may be reached at any time."""
    _is_default: bool = PrivateAttr(default=False)

    @property
    def is_default(self) -> bool:
        """Whether this is the default funnel, which a run omits unless all its events occur."""
        return self._is_default

    @property
    def step_names(self) -> tuple[str, ...]:
        """Names of the steps in order."""
        return tuple(step.name for step in self.steps)

    @property
    def level_names(self) -> tuple[str, ...]:
        """Names of the levels that are counted: the steps or, in any order, the number of steps reached."""
        if self.order != "any_order":
            return self.step_names
        return tuple(f"{done} of {len(self.steps)} steps" for done in range(1, len(self.steps) + 1))


def _event_step(name: str, event: str) -> Step:
    return Step(name=name, when=Leaf("event", "in", (event,)))


DEFAULT_FUNNEL = "cart_abandonment"


def default_funnels(goals: Container[str]) -> dict[str, Funnel]:
    """Return the default funnel: cart abandonment, with the value of an order at stake."""
    events = ("add_to_cart", "checkout_started", "purchase")
    steps = tuple(_event_step(event, event) for event in events)
    funnel = Funnel(steps=steps, goal="order" if "order" in goals else None)
    funnel._is_default = True
    return {DEFAULT_FUNNEL: funnel}


def _cohort_event(raw: object) -> str | Condition:
    return raw if isinstance(raw, str) else parse(raw, EVENTS)


def _plain_event(event: str | Condition) -> object:
    return event if isinstance(event, str) else to_plain(event)


_EVENT_SCHEMA = {"anyOf": [{"type": "string"}, {"type": "object"}]}
CohortEvent = Annotated[
    str | Condition, PlainValidator(_cohort_event), PlainSerializer(_plain_event), WithJsonSchema(_EVENT_SCHEMA)
]
"""The name of a goal, or a condition on events."""

CALENDAR = ("week", "month")


def _bucket(raw: object) -> str | timedelta:
    if isinstance(raw, str) and raw in CALENDAR:
        return raw
    width = parse_duration(raw)
    if width <= timedelta(0):
        raise PydanticCustomError("duration_zero", "must be longer than zero", {"allowed": "a duration above 0s"})
    return width


def _plain_bucket(bucket: str | timedelta) -> str:
    return bucket if isinstance(bucket, str) else format_duration(bucket)


_BUCKET_SCHEMA = {
    "anyOf": [{"enum": list(CALENDAR)}, {"type": "string", "pattern": PATTERN, "examples": ["7d", "30d"]}]
}
Bucket = Annotated[
    str | timedelta, PlainValidator(_bucket), PlainSerializer(_plain_bucket), WithJsonSchema(_BUCKET_SCHEMA)
]


class Cohort(Section):
    """What makes a person enter a cohort, and what counts as coming back."""

    start: CohortEvent = ALWAYS
    """Goal or condition: a person's first such event ever is the start. Default: any event."""
    return_: CohortEvent = Field(default=ALWAYS, alias="return")
    """Goal or condition: an event that counts as coming back, in any channel and of any persona. Default: any event."""
    bucket: Bucket = timedelta(days=7)
    """Width of an age: a duration of exact elapsed time since the start, or `week` or `month` of the calendar."""
    ages: Annotated[StrictInt, Field(ge=1, le=60)] = 12
    """How many ages are shown, from 0; at most 60."""
    by: Literal["week", "month"] = "month"
    """Which starts are one cohort: those of a calendar month, or of a week from Monday."""


class CohortSection(Section):
    """Cohorts of the tables `retention` and `repeat_purchases`. Files and generations are kept as `retention:` says."""

    starts: dict[Name, Cohort] = Field(
        default={"first_event": Cohort()}, max_length=10, json_schema_extra={"default": {"first_event": {}}}
    )
    """Starts by name, at most ten; the column `start`. Default: `first_event`, back with any event, by age in weeks."""
    repeat: Name | None = None
    """Goal whose repeats `repeat_purchases` follows. Default: `order`; without it the first goal."""
