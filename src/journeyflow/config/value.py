"""Sections about money: `goals`, `currency`."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from journeyflow.config.condition_parser import ConditionField, is_property
from journeyflow.config.conditions import Leaf
from journeyflow.config.section import Section, Text

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
