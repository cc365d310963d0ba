"""Sections `funnels`, `goals` and `currency`."""

from __future__ import annotations

from collections.abc import Container
from datetime import date, timedelta
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PrivateAttr, StringConstraints
from pydantic_core import PydanticCustomError

from journeyflow.config.base import Duration, Name, PositiveDuration, Section, Text
from journeyflow.config.conditions import ALWAYS, ConditionField, FunnelCondition, Leaf, is_property, is_property_key

CurrencyCode = Annotated[str, StringConstraints(strict=True, pattern=r"^[A-Z]{3}$")]


def _value(raw: str) -> str:
    if raw == "revenue_amount" or is_property(raw):
        return raw
    raise PydanticCustomError("goal_value", "is not an amount", {"allowed": "revenue_amount, properties.<key>"})


def _decimal(raw: object) -> object:
    return Decimal(str(raw)) if isinstance(raw, int | float) and not isinstance(raw, bool) else raw


Rate = Annotated[Decimal, BeforeValidator(_decimal), Field(gt=0, max_digits=18, decimal_places=8)]


class Goal(Section):
    """A conversion and, where it has one, its value."""

    when: ConditionField
    """Events that reach it."""
    value: Annotated[Text, AfterValidator(_value)] | None = None
    """`revenue_amount` or `properties.<key>`: the amount of such an event."""


class Currency(Section):
    """The currency that figures are reported in, and what one unit of the others is worth in it."""

    report: CurrencyCode = "EUR"
    """ISO 4217 code that amounts are reported in."""
    rates: dict[CurrencyCode, Rate] = Field(default_factory=dict)
    """Code → what one unit is worth in the report currency. Amounts without a rate make a sum null."""


def default_goals() -> dict[str, Goal]:
    """Return the goal there is when none is configured: an order and its revenue."""
    return {"order": Goal(when=Leaf("event", "in", ("purchase",)), value="revenue_amount")}


class Step(Section):
    """A step; `within` bounds the time since the step before."""

    name: Name
    """Name of the step, unique in the funnel."""
    when: FunnelCondition = ALWAYS
    """Events that reach it; any event when left out."""
    within: PositiveDuration | None = None
    """Longest time since the step before; not on the first step."""


class Exclusion(Section):
    """Events between two steps that close an attempt (`drop`) or void it (`person`)."""

    between: tuple[Name, Name]
    """Two steps, the earlier first."""
    when: FunnelCondition
    """Events that exclude."""
    then: Literal["drop", "person"] = "drop"
    """`drop`: dropped at once. `person`: the attempt is void."""


def _date(raw: object) -> object:
    if isinstance(raw, date):
        return raw
    try:
        return date.fromisoformat(str(raw))
    except ValueError:
        raise PydanticCustomError("date", "is not a date", {"allowed": "a day such as 2026-01-31"}) from None


Day = Annotated[date, BeforeValidator(_date)]


class Entered(Section):
    """The days, both included, in the project's zone, on which an attempt may begin."""

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
        "property_key", "is not the key of a property", {"allowed": "a key, or keys with points between"}
    )


class Unit(Section):
    """What a funnel counts."""

    kind: Literal["person", "session", "property"] = "person"
    """Written as `unit: person` or `unit: session`."""
    property: Annotated[Text, AfterValidator(_property_key)] | None = None
    """Key of the event property whose values are counted; events without it stay out."""

    def __str__(self) -> str:
        """Return ``person``, ``session`` or the property's key, as the column `unit` says it."""
        return self.property or self.kind


class Funnel(Section):
    """A configured funnel; the meaning of every setting is in the reference page on semantics."""

    steps: Annotated[tuple[Step, ...], Field(min_length=2, max_length=20)]
    """Steps in order, two to twenty."""
    model: Name | None = None
    """Journey model whose stages a step may read as `stage`."""
    order: Literal["ordered", "strict", "any_order"] = "ordered"
    """Whether other events may come between, must not, or the steps come in any order."""
    window: PositiveDuration = timedelta(days=14)
    """Longest time from step 1 to the last step, inclusive."""
    ties: Literal["same_instant", "strictly_later"] = "same_instant"
    """Whether two steps at one instant convert in step order, or a step must be strictly later."""
    grace: Duration = timedelta(0)
    """How much earlier than the step before it a step may be; only with `ordered`."""
    unit: Annotated[Unit, BeforeValidator(_unit)] = Unit()
    """What is counted: `person`, `session`, or `{property: <key>}`."""
    count: Literal["best", "attempts"] = "best"
    """A unit's deepest attempt, or all its attempts one after another."""
    goal: Name | None = None
    """Goal whose value is at stake."""
    exclusions: Annotated[tuple[Exclusion, ...], Field(max_length=62)] = ()
    """Events between steps that end an attempt; 62 at most."""
    entered: Entered = Entered()
    """Days on which an attempt may begin; later steps are read whenever they come."""
    _is_default: bool = PrivateAttr(default=False)

    @property
    def is_default(self) -> bool:
        """Tell whether nobody configured the funnel: a run leaves it out where none of its events exist."""
        return self._is_default

    @property
    def step_names(self) -> tuple[str, ...]:
        """Names of the steps in order."""
        return tuple(step.name for step in self.steps)

    @property
    def level_names(self) -> tuple[str, ...]:
        """What its counts are of, in order: the steps' names or, in any order, how many of the steps were done."""
        if self.order != "any_order":
            return self.step_names
        return tuple(f"{done} of {len(self.steps)} steps" for done in range(1, len(self.steps) + 1))


def _event_step(name: str, event: str) -> Step:
    return Step(name=name, when=Leaf("event", "in", (event,)))


DEFAULT_FUNNEL = "cart_abandonment"


def default_funnels(goals: Container[str]) -> dict[str, Funnel]:
    """Return the funnel there is when none is configured: where carts are abandoned, with an order's value at stake."""
    events = ("add_to_cart", "checkout_started", "purchase")
    steps = tuple(_event_step(event, event) for event in events)
    funnel = Funnel(steps=steps, goal="order" if "order" in goals else None)
    funnel._is_default = True
    return {DEFAULT_FUNNEL: funnel}
