"""Durations written with a unit: `30m`, `7d`, `1h30m`."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticCustomError

UNITS = {"us": 1, "ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
UNITS["w"] = 7 * UNITS["d"]
PATTERN = r"^([0-9]{1,9}(us|ms|s|m|h|d|w))+$"
_PART = re.compile(r"([0-9]{1,9})(us|ms|s|m|h|d|w)")
_LONGEST = timedelta(days=36_500)


def parse_duration(value: object) -> timedelta:
    """Read a duration.

    Parameters
    ----------
    value : str or timedelta
        One or more whole numbers, each with a unit of ``us ms s m h d w``.

    Returns
    -------
    timedelta

    Raises
    ------
    PydanticCustomError
        When it is not a duration; a bare number is refused, because its unit would be a guess.

    Examples
    --------
    >>> parse_duration("1h30m")
    datetime.timedelta(seconds=5400)
    """
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str) or not re.fullmatch(PATTERN, value):
        raise PydanticCustomError(
            "duration",
            "is not a duration",
            {"allowed": "whole numbers with a unit (us, ms, s, m, h, d, w), such as 30m"},
        )
    duration = timedelta(microseconds=sum(int(number) * UNITS[unit] for number, unit in _PART.findall(value)))
    if duration > _LONGEST:
        raise PydanticCustomError("duration", "is longer than a hundred years", {"allowed": "at most 36500d"})
    return duration


def format_duration(value: timedelta) -> str:
    """Write a duration in its largest whole units, the inverse of `parse_duration`.

    Examples
    --------
    >>> format_duration(timedelta(minutes=90))
    '1h30m'
    """
    rest, parts = microseconds(value), []
    for unit in ("d", "h", "m", "s", "ms", "us"):
        count, rest = divmod(rest, UNITS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def microseconds(value: timedelta) -> int:
    """Return the whole microseconds of a duration, exactly."""
    return value // timedelta(microseconds=1)


def _positive(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise PydanticCustomError("duration_zero", "must be longer than zero", {"allowed": "a duration above 0s"})
    return value


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration),
    WithJsonSchema({"type": "string", "pattern": PATTERN, "examples": ["30m", "7d"]}),
]
PositiveDuration = Annotated[Duration, AfterValidator(_positive)]
