"""Exports of shops, help desks and sales tools that a mapping of columns reads: `exports/*.yml`, one per kind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from typing import Any

from journeyflow.setup.sample import Sample
from journeyflow.utils.yaml import read_yaml

WHOLE = "none"
"""Value of `records`: a list in a record holds no events."""


@dataclass(frozen=True)
class Export:
    """A kind of export: its columns, and the sources that its rows are.

    A file has columns that match a pattern of each group of the `signature`. `schema` is the page that defines it.
    `records` is the list of events in a record, or ``none``.
    """

    label: str
    schema: str
    note: str
    signature: tuple[tuple[str, ...], ...]
    channel: str
    sources: dict[str, dict[str, Any]]
    records: str | None = None

    def fits(self, sample: Sample) -> bool:
        """Return whether a sample is of this kind."""
        return all(any(fnmatchcase(c, p) for c in sample.columns for p in group) for group in self.signature)

    def sources_of(self, sample: Sample) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield name and content of the sources of a file, without its path and form.

        Columns that the file does not have are left out, and sources of which it has no row.
        """
        nested = self.records not in (None, WHOLE)
        for name, given in self.sources.items():
            columns = {
                key: column
                for key, column in given["columns"].items()
                if nested or all(each in sample.columns for each in _named(column))
            }
            moment = _named(given["columns"]["occurred_at"])
            if nested or all(sample.texts(column) for column in moment):
                kept = [each for each in given["properties"] if nested or each in sample.columns]
                yield name, {"channel": self.channel, **given, "columns": columns, "properties": kept}


def _named(column: str | dict[str, Any]) -> list[str]:
    """Return the names of the columns that a mapping reads."""
    if isinstance(column, str):
        return [column]
    return [*column.get("hash", ()), *([column["column"]] if "column" in column else [])]


@cache
def known_exports() -> tuple[Export, ...]:
    """Return all kinds, sorted by name."""
    found = sorted(files("journeyflow.setup").joinpath("exports").iterdir(), key=lambda file: file.name)
    contents = [read_yaml(file.read_bytes()).content for file in found if file.name.endswith(".yml")]
    return tuple(
        Export(**{**content, "signature": tuple(tuple(group) for group in content["signature"])})
        for content in contents
    )


def known_export(sample: Sample) -> Export | None:
    """Return the kind of a file, the most particular one; None where it is of none."""
    fitting = [export for export in known_exports() if export.fits(sample)]
    return max(fitting, key=lambda export: len(export.signature), default=None)
