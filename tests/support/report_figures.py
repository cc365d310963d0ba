"""Report data for tests: all its figures, all its texts, and the check of figures against the published tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass

from journeyflow.publish.reader import PublishedTables
from journeyflow.report.view_model import Figure, ReportData

UNSHOWN = ("key", "model", "persona", "period", "start", "end", "stage", "row", "source")
"""Fields that hold raw names, to compare by, or fixed words."""


def figures_of(found: object) -> Iterator[Figure]:
    """Yield every figure in the report data or a part of it."""
    if isinstance(found, Figure):
        yield found
    elif isinstance(found, tuple):
        for part in found:
            yield from figures_of(part)
    elif is_dataclass(found):
        for field in fields(found):
            yield from figures_of(getattr(found, field.name))


def texts_of(found: object) -> Iterator[str]:
    """Yield every text that is displayed."""
    if isinstance(found, str):
        yield found
    elif isinstance(found, Mapping):
        yield from found.values()
    elif isinstance(found, tuple):
        for part in found:
            yield from texts_of(part)
    elif is_dataclass(found):
        for field in fields(found):
            if field.name not in UNSHOWN:
                yield from texts_of(getattr(found, field.name))


def expected_row(figure: Figure) -> tuple[object, ...]:
    """Return the row that the SQL of a figure must return: value, low, high and n, as far as it has these."""
    ends = (figure.low, figure.high) if len(figure.source.columns) > 2 else ()
    base = (figure.n,) if len(figure.source.columns) in (2, 4) else ()
    return (figure.value, *ends, *base)


def wrong_figures(report_data: ReportData, published: PublishedTables, every: int = 1) -> list[str]:
    """Return the SQL of the figures that the tables do not return; every n-th of the different ones is asked."""
    different = {figure.sql: figure for figure in figures_of(report_data)}
    asked = list(different.values())[::every]
    return [figure.sql for figure in asked if published.sql(figure.sql).rows() != [expected_row(figure)]]
