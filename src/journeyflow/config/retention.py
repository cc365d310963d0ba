"""Section `retention`: how long the files that were read are kept, and how many generations."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, Field, PlainSerializer, StrictInt, WithJsonSchema
from pydantic_core import PydanticCustomError

from journeyflow.config.durations import PATTERN, format_duration, parse_duration
from journeyflow.config.section import Name, Section

FOREVER, NONE = "forever", "none"
SPAN_PATTERN = f"^(forever|none)$|{PATTERN}"
_NOTHING = timedelta(0)


def _parse(value: object) -> timedelta | None:
    if value is None or value == FOREVER:
        return None
    if value in (NONE, _NOTHING):
        return _NOTHING
    try:
        return parse_duration(value)
    except PydanticCustomError as error:
        raise PydanticCustomError(
            "span", "is not a time to keep files", {"allowed": "forever, none, or a duration such as 90d"}
        ) from error


def _format(value: timedelta | None) -> str:
    if value is None:
        return FOREVER
    return format_duration(value) if value else NONE


Span = Annotated[
    timedelta | None,
    BeforeValidator(_parse),
    PlainSerializer(_format),
    WithJsonSchema({"type": "string", "pattern": SPAN_PATTERN, "examples": [FOREVER, NONE, "90d"]}),
]
"""A time to keep something: None is for ever, zero is not at all."""


class Retention(Section):
    """How long a copy of each file that was read is kept, compressed, in the folder `raw` of `state`, and what else."""

    raw: Span = Field(default=None, json_schema_extra={"default": FOREVER})
    """A duration since the file was first read, `forever`, or `none` for no copies. What is gone cannot be rebuilt."""
    sources: dict[Name, Span] = Field(default_factory=dict)
    """The same for single sources, by name."""
    generations: Annotated[StrictInt, Field(ge=1)] = 5
    """How many published generations stay, the current one among them."""

    def span(self, source: str) -> timedelta | None:
        """Return how long files of a source are kept: None is for ever, zero is not at all."""
        return self.sources.get(source, self.raw)
