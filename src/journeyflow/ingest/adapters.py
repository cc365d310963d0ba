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
    """A column of the collector.

    Parameters
    ----------
    required : bool
        A file without it is refused; else it reads as null.
    any_of : tuple of str
        Patterns of the names that it goes by in files; the first value that is not null counts. Default: its own name.
    meaning : str or None
        What it is, where the name does not say.
    """

    required: bool = False
    any_of: tuple[str, ...] = ()
    meaning: str | None = None


class AdapterCase(_Strict):
    """Sample rows of `raw` and the canonical rows they become, as text tables."""

    name: str
    given: str
    expect: str


class AdapterMetadata(_Strict):
    """The `.yml` beside an adapter.

    Parameters
    ----------
    description, source : str
        What the format is and where it is defined.
    container : str
        ``columns`` (CSV, TSV, JSON lines, Parquet), or ``lines``.
    nulls : tuple of str
        Texts that this collector writes for null.
    raw : dict of str to RawColumn
        Columns that the `.sql` reads.
    others : tuple of str
        Patterns of further columns, given to the `.sql` as the JSON object `others`.
    cases : tuple of AdapterCase
        Run by the tests.
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
    """A ready adapter: its paperwork and the SELECT over `raw`."""

    name: str
    metadata: AdapterMetadata
    select: str

    def prepared_raw(self, raw: RawRecords) -> str:
        """Return a SELECT that shows `raw` with exactly the declared columns, all text, nulls of the collector nulled.

        Raises
        ------
        RefusedFileError
            When a required column is missing.
        """
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
        texts = [self._nulled(fields.text(n)) for n in found]
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
    """Read the adapter of a format.

    Parameters
    ----------
    name : str
        The format, e.g. ``snowplow``.
    folder : Path or None
        Where adapters lie; None is the packaged `sql/sources`.

    Raises
    ------
    ConfigError
        When there is no such adapter.
    """
    place = folder or sql_folder() / "sources"
    select, metadata = place / f"{name}.sql", place / f"{name}.yml"
    if not (select.is_file() and metadata.is_file()):
        known = ", ".join(sorted(path.stem for path in place.glob("*.sql")))
        raise ConfigError(f"The format {name} has no adapter in sql/sources; there are: {known}.")
    described = AdapterMetadata.model_validate(read_yaml(metadata.read_bytes()).content)
    return Adapter(name, described, select.read_text(encoding="utf-8"))
