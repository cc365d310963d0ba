"""Adapters: `sql/sources/<format>` turns a collector's columns into canonical ones."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from journeyflow.errors import ConfigError
from journeyflow.ingest.mapping import Fields, check_header, identifier, literal
from journeyflow.ingest.readers.records import RawRecords
from journeyflow.utils.files import sql_folder
from journeyflow.utils.yaml import read_yaml

_VERSION = re.compile(r"_\d+_\d+_\d+$")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RawColumn(_Strict):
    """A column of the collector; a file without a required one is refused, else the column is null.

    `any_of` holds patterns of its names in files, of which the first value that is not null counts; default: its name.
    Of a number in an `identifier`, decimals that are zero are left out.
    """

    required: bool = False
    identifier: bool = False
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
    patterns of further columns, which it gets as the JSON object `others`.
    """

    description: str
    source: str
    container: Literal["columns", "lines"] = "columns"
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
        """Return the SELECT of `raw`: exactly the declared columns, all text, the collector's nulls as null."""
        if self.metadata.container == "lines":
            return "select record_ix, source_row, line from raw_records"
        columns = ["record_ix", "source_row"]
        for name, declared in self.metadata.raw.items():
            columns.append(f"{self._column(name, declared or RawColumn(), Fields(raw))} as {identifier(name)}")
        if self.metadata.others:
            columns.append(f"{self._others(Fields(raw))} as others")
        return f"select {', '.join(columns)} from raw_records"

    def _column(self, name: str, declared: RawColumn, fields: Fields) -> str:
        patterns = declared.any_of or (name,)
        if fields.raw.shape == "json":
            found = [pattern for pattern in patterns if "*" not in pattern]
        else:
            found = [n for pattern in patterns for n in fields.raw.names if fnmatchcase(n, pattern)]
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
        pairs = ", ".join(f"{literal(_VERSION.sub('', n))}, {self._nulled(fields.text(n))}" for n in sorted(set(names)))
        return f"json_object({pairs})" if pairs else "'{}'::json"

    def _nulled(self, text: str) -> str:
        for null in self.metadata.nulls:
            text = f"nullif({text}, {literal(null)})"
        return text


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
