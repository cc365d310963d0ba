"""Rules and durations read aloud, and rows as mappings."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from journeyflow.config.conditions import render
from journeyflow.config.journey_models import PlacedRule
from journeyflow.engines import Engine

Row = dict[str, Any]


def rows(engine: Engine, select: str, params: Sequence[Any]) -> list[Row]:
    """Return the rows of a small query as mappings."""
    return list(engine.rows(select, params).to_pylist())


def read_aloud(placed: PlacedRule) -> str:
    """Return a rule of a stage as part of a sentence, with its history."""
    rule = placed.rule
    parts = [render(rule.when)]
    if rule.after:
        parts.append(f"at most {length(rule.after.within)} after {rule.after.event}")
    if rule.nth:
        bound = f"number {rule.nth.is_}" if rule.nth.is_ else f"number {rule.nth.at_least} or later"
        parts.append(f"{bound} of the person's such events")
    return ", ".join(parts)


def length(span: timedelta) -> str:
    """Return a duration in its two largest units, short as in `journeyflow.yml`.

    Examples
    --------
    >>> length(timedelta(days=7)), length(timedelta(hours=26, seconds=3))
    ('7d', '1d 2h')
    """
    rest, parts = round(span.total_seconds()), []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        amount, rest = divmod(rest, size)
        if amount:
            parts.append(f"{amount}{unit}")
    return " ".join(parts[:2]) or "0s"
