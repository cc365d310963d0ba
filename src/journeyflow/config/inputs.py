"""Sections about what comes in: `sources`, `people`, `spend`."""

from __future__ import annotations

import re
from functools import cache
from typing import Annotated, Literal, Self

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
    columns: Annotated[tuple[Text, ...], Field(min_length=1)] | None = None
    hash: Annotated[tuple[Text, ...], Field(min_length=1)] | None = None
    constant: Text | None = None
    unit: Literal["s", "ms", "us", "ns"] | None = None
    format: Text | None = None

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
    path: FilePath
    channel: Annotated[ColumnMapping, BeforeValidator(_constant)] | None = None
    timezone: Text = "UTC"
    encoding: Text = "utf-8"
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    quote: Annotated[str, Field(max_length=1)] = '"'
    header: StrictBool = True
    records: Text | None = None
    where: TrafficCondition = ALWAYS
    rename: dict[Text, Text] = Field(default_factory=dict)
    columns: dict[CanonicalColumn, Column] = Field(default_factory=dict)
    properties: Annotated[tuple[Text, ...], BeforeValidator(_all_properties)] = ()


class People(Section):
    """A file of traits, joined by `user_id`."""

    path: FilePath
    user_id: Text
    traits: Annotated[tuple[Name, ...], Field(min_length=1)]
    valid_from: Text | None = None
    format: Literal["csv", "jsonl", "parquet"] = "csv"
    encoding: Text = "utf-8"
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    quote: Annotated[str, Field(max_length=1)] = '"'
    timezone: Text | None = None


class Spend(Section):
    """Advertising spend: a file with columns date, channel, amount, currency."""

    path: FilePath
    format: Literal["csv", "jsonl", "parquet"] = "csv"
