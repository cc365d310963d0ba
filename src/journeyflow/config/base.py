"""Base class of configuration sections; types for names, paths and durations."""

from __future__ import annotations

import os
import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    ModelWrapValidatorHandler,
    PlainSerializer,
    SerializationInfo,
    StrictStr,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError


class Section(BaseModel):
    """A section of the configuration; its attributes are the keys of the YAML."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, use_enum_values=True)

    @model_validator(mode="wrap")
    @classmethod
    def _refuse_unknown_keys(cls, raw: object, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(raw, dict):
            return handler(raw)
        names = {name for key, info in cls.model_fields.items() for name in (key, info.alias) if name}
        allowed = tuple(info.alias or key for key, info in cls.model_fields.items())
        unknown = [key for key in raw if key not in names]
        if not unknown:
            return handler(raw)
        kind = PydanticCustomError("unknown_key", "is not a key here", {"allowed": allowed})
        errors = [InitErrorDetails(type=kind, loc=(key,), input=key) for key in unknown]
        try:
            handler({key: value for key, value in raw.items() if key in names})
        except ValidationError as error:
            errors += [_init_error(item) for item in error.errors(include_url=False)]
        raise ValidationError.from_exception_data(cls.__name__, errors)


def _init_error(item: ErrorDetails) -> InitErrorDetails:
    """Return a reported error in the form that `ValidationError.from_exception_data` takes."""
    message = item["msg"].replace("{", "{{").replace("}", "}}")
    kind = PydanticCustomError(item["type"], message, {**item.get("ctx", {})} or None)
    return InitErrorDetails(type=kind, loc=item["loc"], input=item["input"])


def _absolute(path: Path, info: ValidationInfo) -> Path:
    folder = (info.context or {}).get("folder")
    return Path(os.path.normpath(folder / path)) if folder else path


def _relative(path: Path, info: SerializationInfo) -> str:
    folder = (info.context or {}).get("folder")
    return Path(os.path.relpath(path, folder)).as_posix() if folder else str(path)


NAME_PATTERN = r"^[^\s/\x00-\x1f\x7f]([^/\x00-\x1f\x7f]{0,98}[^\s/\x00-\x1f\x7f])?$"
Name = Annotated[str, StringConstraints(strict=True, pattern=NAME_PATTERN)]
"""A published name: 1 to 100 printable characters without a slash, because predicates are paths of names."""
Label = Annotated[str, StringConstraints(strict=True, pattern=NAME_PATTERN.replace("/", ""))]
"""What people read in place of a name: 1 to 100 printable characters."""
Text = Annotated[StrictStr, StringConstraints(min_length=1, max_length=2000)]
FilePath = Annotated[Path, AfterValidator(_absolute), PlainSerializer(_relative)]
"""A path or glob, written relative to the folder of the configuration; absolute as a value."""

UNITS = {"us": 1, "ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
UNITS["w"] = 7 * UNITS["d"]
PATTERN = r"^([0-9]{1,9}(us|ms|s|m|h|d|w))+$"
_PART = re.compile(r"([0-9]{1,9})(us|ms|s|m|h|d|w)")
_LONGEST = timedelta(days=36_500)


def parse_duration(value: object) -> timedelta:
    """Return the duration of a text: whole numbers, each with a unit of ``us ms s m h d w``.

    A bare number is refused, because its unit would be a guess.

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
    """Return a duration in its largest whole units, the inverse of `parse_duration`.

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
    """Return the whole microseconds of a duration."""
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
