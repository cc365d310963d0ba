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
    """A gap greater than this starts the next session."""
    max_duration: PositiveDuration = timedelta(hours=24)
    """An event that would first exceed this since the session's start opens a new one."""
    offline_channels: tuple[Text, ...] = OFFLINE_CHANNELS
    """Channels whose events belong to no session."""


class Journeys(Section):
    """When a journey ends (`timeout`) and how long its stages are read (`window`)."""

    timeout: PositiveDuration = timedelta(days=30)
    """A gap greater than this between a person's events starts the next journey."""
    window: PositiveDuration = timedelta(days=30)
    """How long after a journey's first event the stage funnel reads it."""


class Touchpoint(Section):
    """A label for a surface."""

    label: Name
    """Name of the surface; the touchpoint is `channel: label`."""
    when: ConditionField
    """Events that have it."""


NOTHING: Condition = Any_(())
"""A condition that never holds."""


def _bots(raw: object) -> object:
    return {"builtin": raw == "builtin"} if raw in ("builtin", "none") else raw


class Bots(Section):
    """What counts as a bot: the built-in list of user agents, and a condition of one's own beside it."""

    builtin: bool = True
    """Whether the built-in list of user agents counts."""
    when: TrafficCondition = NOTHING
    """Further events of bots."""


class ExcludeTraffic(Section):
    """Traffic that is flagged and left out of the published tables."""

    bots: Annotated[Bots, BeforeValidator(_bots)] = Bots()
    """`builtin`, `none`, or a mapping with `builtin` and `when`."""
    internal: TrafficCondition = NOTHING
    """Events of one's own people."""
