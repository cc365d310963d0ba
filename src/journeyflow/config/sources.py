"""Sections `sources`, `people`, `spend`, `limits` and `retention`."""

from __future__ import annotations

import re
from datetime import timedelta
from functools import cache
from typing import Annotated, Literal, Self, get_args

from pydantic import BeforeValidator, Field, PlainSerializer, StrictBool, StrictInt, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from journeyflow.config.base import (
    PATTERN,
    FilePath,
    Name,
    PositiveDuration,
    Section,
    Text,
    format_duration,
    parse_duration,
)
from journeyflow.config.conditions import ALWAYS, TrafficCondition
from journeyflow.utils.files import sql_folder

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


MAPPED_FORMATS = ("csv", "jsonl", "parquet")
CanonicalColumn = Literal[
    "event_id",
    "occurred_at",
    "received_at",
    "anonymous_id",
    "user_id",
    "session_id",
    "sequence",
    "event_name",
    "channel",
    "utm_source",
    "utm_medium",
    "utm_campaign",
    "utm_term",
    "utm_content",
    "referrer_host",
    "page_path",
    "target",
    "user_agent",
    "revenue_amount",
    "currency",
]
CANONICAL_COLUMNS: tuple[str, ...] = get_args(CanonicalColumn)
"""The columns that a source fills, in the order of `raw.events`; their one list."""
UTM_COLUMNS = tuple(name for name in CANONICAL_COLUMNS if name.startswith("utm_"))


@cache
def known_formats() -> tuple[str, ...]:
    """Return the formats there are: those with mapped columns, and those that `sql/sources/` has an adapter for.

    An adapter is a `.yml` with a key `raw` there, so that a new collector is two files and no Python.
    """
    sides = sorted((sql_folder() / "sources").glob("*.yml"))
    collectors = (side.stem for side in sides if re.search(r"^raw:", side.read_text(encoding="utf-8"), re.MULTILINE))
    return (*MAPPED_FORMATS, *collectors)


class ColumnMapping(Section):
    """Where a canonical column comes from: exactly one of `column`, `columns`, `hash`, `constant`."""

    column: Text | None = None
    """Name of the column; for JSON the path to the value, with points. A bare text means the same."""
    columns: Annotated[tuple[Text, ...], Field(min_length=1)] | None = None
    """Parts of a time: year, month, day, and as much of hour, minute, second as there is."""
    hash: Annotated[tuple[Text, ...], Field(min_length=1)] | None = None
    """Columns that together make an identifier; only their keyed hash is stored."""
    constant: Text | None = None
    """The same value for every event."""
    unit: Literal["s", "ms", "us", "ns"] | None = None
    """Unit of a time that is a number since 1970."""
    format: Text | None = None
    """How a time is written, in the codes of `strptime`, such as `%d/%m/%Y %H:%M`."""

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        given = [name for name in ("column", "columns", "hash", "constant") if getattr(self, name) is not None]
        if len(given) != 1:
            raise PydanticCustomError(
                "column_mapping", "needs exactly one origin", {"allowed": "one of column, columns, hash, constant"}
            )
        return self


def _column(raw: object) -> object:
    if isinstance(raw, dict) and _is_plain_number(raw.get("constant")):
        return {**raw, "constant": str(raw["constant"])}
    return {"column": raw} if isinstance(raw, str) else raw


def _constant(raw: object) -> object:
    return {"constant": raw} if isinstance(raw, str) else raw


def _is_plain_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _all_properties(raw: object) -> object:
    return ("*",) if raw == "*" else raw


Column = Annotated[ColumnMapping, BeforeValidator(_column)]


class Source(Section):
    """One source of events: files of one shape."""

    format: Text
    """`csv`, `jsonl` or `parquet` with `columns`; or a collector with an adapter of its own in `sql/sources/`, whose
    columns are known.
    """
    path: FilePath
    """A file or a glob. Plain, gzip, zstd and zip are read as they are."""
    channel: Annotated[ColumnMapping, BeforeValidator(_constant)] | None = None
    """Channel of the events: a constant, or `{column: name}`. An adapter may know it."""
    timezone: Text = "UTC"
    """Zone of stamps that state none, by IANA name."""
    encoding: Text = "utf-8"
    """Encoding of text files."""
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    """CSV only: what separates the fields."""
    quote: Annotated[str, Field(max_length=1)] = '"'
    """CSV only: what encloses a field; empty for none."""
    header: StrictBool = True
    """CSV only: whether the first line names the columns; without it they are `column1`, `column2`, …."""
    records: Text | None = None
    """JSON lines only: path of the nested list that holds the events; fields around the list are read too."""
    where: TrafficCondition = ALWAYS
    """Events to keep, judged after `rename`; the others are counted as filtered."""
    rename: dict[Text, Text] = Field(default_factory=dict)
    """The source's event names → those of the vocabulary."""
    columns: dict[CanonicalColumn, Column] = Field(default_factory=dict)
    """Canonical name → where it comes from. Needed: `occurred_at`, `event_name`, and `anonymous_id` or `user_id`."""
    properties: Annotated[tuple[Text, ...], BeforeValidator(_all_properties)] = ()
    """Further columns to keep, read as `properties.<key>`; `'*'` keeps all."""


class People(Section):
    """A file of traits, joined by `user_id`."""

    path: FilePath
    """A file or a glob; read anew by every run."""
    user_id: Text
    """Column of the user_id."""
    traits: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Columns to keep, read as `trait.<name>`."""
    valid_from: Text | None = None
    """Column of the time from which the row holds. Without it the traits are undated and hold at all times."""
    format: Literal["csv", "jsonl", "parquet"] = "csv"
    """Format of the files."""
    encoding: Text = "utf-8"
    """Encoding of text files."""
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    """CSV only: what separates the fields."""
    quote: Annotated[str, Field(max_length=1)] = '"'
    """CSV only: what encloses a field; empty for none."""
    timezone: Text | None = None
    """Zone of `valid_from` where it states none; the project's when left out."""


class Spend(Section):
    """Advertising spend: a file with columns date, channel, amount, currency."""

    path: FilePath
    """A file or a glob."""
    format: Literal["csv", "jsonl", "parquet"] = "csv"
    """Format of the file."""
