"""What sections of a configuration are made of: errors and warnings with their places, base class and types."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, Self

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

from journeyflow.errors import ConfigError
from journeyflow.utils.files import Loc
from journeyflow.utils.formatting import numbered

Severity = Literal["error", "warning"]
"""An error stops a run, a warning does not."""


@dataclass(frozen=True)
class Problem:
    """An error or warning in a configuration.

    Parameters
    ----------
    severity : str
        ``error`` stops a run, ``warning`` does not.
    code : str
        Stable name of the rule.
    file : str
        Path of the file as it was given.
    line : int or None
        1-based line of the key or item.
    path : str
        YAML path, such as ``funnels.checkout.steps[1].when``.
    value : str or None
        The value found, shortened.
    allowed : str or None
        The values allowed.
    nearest : str or None
        The allowed name most similar to the value.
    message : str
        What is wrong, as the end of a sentence.
    """

    severity: Severity
    code: str
    file: str
    line: int | None
    path: str
    value: str | None
    allowed: str | None
    nearest: str | None
    message: str

    def __str__(self) -> str:
        """Return one line: file, line, path, value, message, allowed values, nearest name, code."""
        where = ":".join(str(part) for part in (self.file, self.line) if part is not None)
        place = f"{where}: {self.severity}: {self.path or 'the file'}"
        sentence = f"{place}: {self.value!r} {self.message}" if self.value is not None else f"{place}: {self.message}"
        allowed = f"; allowed: {self.allowed}" if self.allowed else ""
        nearest = f"; did you mean {self.nearest!r}?" if self.nearest else ""
        return f"{sentence}{allowed}{nearest} [{self.code}]"


@dataclass(frozen=True)
class Violation:
    """A violated rule between keys of a valid configuration; `load` makes a `Problem` of it.

    Parameters
    ----------
    message : str
        What is wrong, as the end of a sentence.
    allowed : tuple of str
        The names allowed.
    expected : str or None
        What is allowed, where it is not a list of names.
    looked_in : tuple of str
        Sections that the allowed names come from. While one of them has errors, the violation is ignored.
    """

    code: str
    loc: Loc
    message: str
    value: str | None = None
    allowed: tuple[str, ...] = ()
    expected: str | None = None
    severity: Severity = "error"
    looked_in: tuple[str, ...] = ()


class InvalidConfigError(ConfigError):
    """A configuration with errors; `problems` lists them all, and the warnings."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        errors = [problem for problem in problems if problem.severity == "error"]
        count = numbered(len(errors), "error")
        super().__init__("\n".join([f"The configuration has {count}:", *(f"  {problem}" for problem in errors)]))
        self.problems = tuple(problems)


def nearest_name(value: object, names: Sequence[str]) -> str | None:
    """Return the name most similar to `value`, or one that begins with it; None when there is neither."""
    similar = difflib.get_close_matches(str(value), list(names), n=1, cutoff=0.6)
    longer = [name for name in names if name.startswith(str(value))]
    return next(iter([*similar, *longer]), None)


def path_text(loc: Loc) -> str:
    """Return a place as a YAML path.

    Examples
    --------
    >>> path_text(("funnels", "checkout", "steps", 1, "when"))
    'funnels.checkout.steps[1].when'
    """
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).removeprefix(".")


def value_text(value: object) -> str | None:
    """Return a scalar as text of at most 80 characters; None for anything else."""
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str | int | float):
        return None
    text = str(value)
    return text if len(text) <= 80 else f"{text[:79]}…"


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
