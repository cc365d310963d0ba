"""Adapters: `sql/sources/<format>` turns a collector's columns into canonical ones."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from journeyflow.engines.base import quoted
from journeyflow.engines.base import text as literal
from journeyflow.errors import ConfigError
from journeyflow.ingest.mapping import Fields, check_header, check_width
from journeyflow.ingest.parser.records import RawRecords
from journeyflow.utils.files import read_yaml, sql_folder

_VERSION = re.compile(r"_\d+_\d+_\d+$")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RawColumn(_Strict):
    """A column of the collector; a file without a required one is refused, else the column is null.

    `any_of` holds patterns of its names in files, of which the first value that is not null counts; default: its name.
    `holds` is set for JSON text: any other text sends the record to the quarantine, reason `bad_json`, as does anything
    but an object where it is ``object`` (an empty list is no properties, as PHP writes them). Of a number in
    an `identifier`, decimals that are zero are left out.
    """

    required: bool = False
    identifier: bool = False
    holds: Literal["json", "object"] | None = None
    any_of: tuple[str, ...] = ()
    meaning: str | None = None


class AdapterCase(_Strict):
    """Sample rows of `raw` and the canonical rows they become, as text tables."""

    name: str
    given: str
    expect: str


class AdapterMetadata(_Strict):
    """The `.yml` beside an adapter.

    `nulls` are texts that the collector writes for null; `raw` are the columns that the `.sql` reads; `others` are
    patterns of further columns, which it gets as the JSON object `others`. `is_utc`: times are UTC whatever the zone of
    the project, so that `timezone` of a source is refused. By its `signature` the collector is recognised: a file has
    columns that match a pattern of each group.
    """

    description: str
    source: str
    container: Literal["columns", "lines"] = "columns"
    is_utc: bool = False
    signature: tuple[tuple[str, ...], ...] = ()
    nulls: tuple[str, ...] = ()
    raw: dict[str, RawColumn | None] = Field(default_factory=dict)
    others: tuple[str, ...] = ()
    cases: tuple[AdapterCase, ...] = ()


@dataclass(frozen=True)
class Adapter:
    """An adapter: its metadata and its SELECT over `raw`."""

    name: str
    metadata: AdapterMetadata
    select: str

    def prepared_raw(self, raw: RawRecords) -> str:
        """Return the SELECT of `raw`: the declared columns, all text, the collector's nulls as null, and `reason`.

        `reason` says why a record cannot be accepted, or is null; JSON columns are null where they hold something else.
        """
        if self.metadata.container == "lines":
            return "select record_ix, source_row, line from raw_records"
        fields, flaws = Fields(raw), list[str]()
        texts, columns = ["record_ix", "source_row"], ["record_ix", "source_row"]
        for name, given in self.metadata.raw.items():
            declared, column = given or RawColumn(), quoted(name)
            texts.append(f"{self._column(name, declared, fields)} as {column}")
            columns.append(f"{_if_json(column, declared)} as {column}")
            flaws += [_is_no_json(column, declared)] if declared.holds else []
        if self.metadata.others:
            texts.append(f"{self._others(fields)} as others")
            columns.append("others")
        patterns = [p for name, given in self.metadata.raw.items() for p in ((given and given.any_of) or (name,))]
        named = [name for name in raw.names if any(fnmatchcase(name, pattern) for pattern in patterns)]
        texts.append(f"{fields.is_no_text(named) or 'false'} as is_no_text")
        cases = [
            "when is_no_text then 'bad_encoding'",
            *([f"when {' or '.join(flaws)} then 'bad_json'"] if flaws else []),
        ]
        reason = f"case {' '.join(cases)} end"
        return f"select {', '.join(columns)}, {reason} as reason from (select {', '.join(texts)} from raw_records)"

    def _column(self, name: str, declared: RawColumn, fields: Fields) -> str:
        patterns = declared.any_of or (name,)
        if fields.raw.shape == "json":
            found = [pattern for pattern in patterns if "*" not in pattern]
        else:
            found = [n for pattern in patterns for n in fields.raw.names if fnmatchcase(n, pattern)]
            found += [pattern for pattern in patterns if fields.is_inside(pattern)]
            if declared.required and not found:
                check_header(fields, [name])
            check_header(fields, found)
        texts = [self._nulled(fields.identifier(n) if declared.identifier else fields.text(n)) for n in found]
        return f"coalesce({', '.join([*texts, 'null'])})" if texts else "cast(null as varchar)"

    def _others(self, fields: Fields) -> str:
        declared = [p for n, c in self.metadata.raw.items() for p in ((c and c.any_of) or (n,))]
        names = [
            n
            for n in fields.raw.names
            if any(fnmatchcase(n, p) for p in self.metadata.others) and not any(fnmatchcase(n, p) for p in declared)
        ]
        check_width(names)
        pairs = ", ".join(f"{literal(_VERSION.sub('', n))}, {self._nulled(fields.text(n))}" for n in sorted(set(names)))
        return f"json_object({pairs})" if pairs else "'{}'::json"

    def _nulled(self, text: str) -> str:
        for null in self.metadata.nulls:
            text = f"nullif({text}, {literal(null)})"
        return text


def _if_json(column: str, declared: RawColumn) -> str:
    if declared.holds == "object":
        return f"case when json_valid({column}) then case when json_type({column}) = 'OBJECT' then {column} end end"
    return f"case when json_valid({column}) then {column} end" if declared.holds else column


def _is_no_json(column: str, declared: RawColumn) -> str:
    """Return SQL of whether a column has a text that is not what it should hold."""
    is_other = "false"
    if declared.holds == "object":
        is_other = f"json_type({column}) not in ('OBJECT', 'NULL') and {column} <> '[]'"
    return f"case when {column} is null then false when json_valid({column}) then {is_other} else true end"


@cache
def load_adapter(name: str, folder: Path | None = None) -> Adapter:
    """Read the adapter of a format, e.g. ``snowplow``, from a folder (default: the packaged `sql/sources`)."""
    place = folder or sql_folder() / "sources"
    select, metadata = place / f"{name}.sql", place / f"{name}.yml"
    if not (select.is_file() and metadata.is_file()):
        known = ", ".join(sorted(path.stem for path in place.glob("*.sql")))
        raise ConfigError(f"The format {name} has no adapter in sql/sources; there are: {known}.")
    described = AdapterMetadata.model_validate(read_yaml(metadata.read_bytes()).content)
    return Adapter(name, described, select.read_text(encoding="utf-8"))
