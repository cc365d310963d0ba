"""Sections about how events are read together: `sessions`, `journeys`, `touchpoints`, `exclude_traffic`."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator

from journeyflow.config.condition_parser import ConditionField, TrafficCondition
from journeyflow.config.conditions import Any_, Condition
from journeyflow.config.durations import PositiveDuration
from journeyflow.config.section import Name, Section, Text

OFFLINE_CHANNELS = ("store", "call_centre", "crm", "delivery", "survey", "email")


class Sessions(Section):
    """When a session ends."""

    timeout: PositiveDuration = timedelta(minutes=30)
    max_duration: PositiveDuration = timedelta(hours=24)
    offline_channels: tuple[Text, ...] = OFFLINE_CHANNELS


class Journeys(Section):
    """When a journey ends (`timeout`) and how long its stages are read (`window`)."""

    timeout: PositiveDuration = timedelta(days=30)
    window: PositiveDuration = timedelta(days=30)


class Touchpoint(Section):
    """A label for a surface."""

    label: Name
    when: ConditionField


NOTHING: Condition = Any_(())
"""A condition that never holds."""


def _bots(raw: object) -> object:
    return {"builtin": raw == "builtin"} if raw in ("builtin", "none") else raw


class Bots(Section):
    """What counts as a bot: the built-in list of user agents, and a condition of one's own beside it."""

    builtin: bool = True
    when: TrafficCondition = NOTHING


class ExcludeTraffic(Section):
    """Traffic that is flagged and left out of the published tables."""

    bots: Annotated[Bots, BeforeValidator(_bots)] = Bots()
    internal: TrafficCondition = NOTHING
