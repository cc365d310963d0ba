"""Sections about what comes in: `sources`, `people`, `spend`."""

from __future__ import annotations

import re
from functools import cache
from typing import Annotated, Literal, Self, get_args

from pydantic import BeforeValidator, Field, StrictBool, model_validator
from pydantic_core import PydanticCustomError

from journeyflow.config.condition_parser import TrafficCondition
from journeyflow.config.conditions import ALWAYS
from journeyflow.config.section import FilePath, Name, Section, Text
from journeyflow.resources import sql_folder

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
"""The columns that a source fills, in the order of `landed.events`; their one list."""
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
