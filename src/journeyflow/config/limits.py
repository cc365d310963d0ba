"""Section `limits`: what one input file may cost."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, Field, PlainSerializer, StrictInt, WithJsonSchema
from pydantic_core import PydanticCustomError

from journeyflow.config.durations import PositiveDuration
from journeyflow.config.section import Section

UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
SIZE_PATTERN = r"^[1-9][0-9]{0,5}(KB|MB|GB|TB)$"
LEAST_MEMORY = 300 * UNITS["MB"]
"""What the libraries need before the first row."""


def parse_size(value: object) -> int:
    """Read a size as bytes.

    Raises
    ------
    PydanticCustomError
        When it is no size; a bare number is refused, because its unit would be a guess.

    Examples
    --------
    >>> parse_size("2GB")
    2000000000
    """
    if not isinstance(value, str) or not re.fullmatch(SIZE_PATTERN, value):
        raise PydanticCustomError(
            "size", "is not a size", {"allowed": "a whole number with a unit (KB, MB, GB, TB), such as 2GB"}
        )
    return int(value[:-2]) * UNITS[value[-2:]]


def format_size(value: int) -> str:
    """Write a size in its largest whole unit, the inverse of `parse_size`."""
    unit = next(unit for unit in reversed(UNITS) if value % UNITS[unit] == 0)
    return f"{value // UNITS[unit]}{unit}"


def _memory(value: object) -> int:
    size = parse_size(value)
    if size < LEAST_MEMORY:
        raise PydanticCustomError("memory", "is too little to read any file", {"allowed": "at least 300MB"})
    return size


_SCHEMA = WithJsonSchema({"type": "string", "pattern": SIZE_PATTERN, "examples": ["1GB", "500MB"]})
_FILE, _MEMORY = 64 * UNITS["GB"], UNITS["GB"]
Size = Annotated[int, BeforeValidator(parse_size), PlainSerializer(format_size), _SCHEMA]
Memory = Annotated[int, BeforeValidator(_memory), PlainSerializer(format_size), _SCHEMA]


class Limits(Section):
    """What one input file may cost before it is refused. It bounds the process that parses it."""

    file: Size = Field(default=_FILE, json_schema_extra={"default": "64GB"})
    """Its size."""
    memory: Memory = Field(default=_MEMORY, json_schema_extra={"default": "1GB"})
    """What the process that parses it may allocate; at least 300MB."""
    time: PositiveDuration = timedelta(hours=1)
    """How long that process may work on it."""
    rows: Annotated[StrictInt, Field(ge=1)] = 1_000_000_000
    """Its records."""
    columns: Annotated[StrictInt, Field(ge=1, le=100_000)] = 10_000
    """Columns of its header."""
