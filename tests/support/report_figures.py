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


TOGETHER = 40
"""Statements that are asked as one: most of the time of a statement is its own, whatever it reads."""


def wrong_figures(report_data: ReportData, published: PublishedTables, every: int = 1) -> list[str]:
    """Return the SQL of the figures that the tables do not return; every n-th of the different ones is asked."""
    different = {figure.sql: figure for figure in figures_of(report_data)}
    alike: dict[tuple[type, ...], list[Figure]] = {}
    for figure in list(different.values())[::every]:
        alike.setdefault(tuple(map(type, expected_row(figure))), []).append(figure)
    groups = [found[at : at + TOGETHER] for found in alike.values() for at in range(0, len(found), TOGETHER)]
    return [sql for group in groups for sql in _wrong(group, published)]


def _wrong(figures: list[Figure], published: PublishedTables) -> list[str]:
    asked = " union all ".join(f"select {n} as figure, * from ({figure.sql})" for n, figure in enumerate(figures))
    rows = sorted(published.sql(asked).rows(), key=lambda row: row[0])
    if rows == [(n, *expected_row(figure)) for n, figure in enumerate(figures)]:
        return []
    return [figure.sql for figure in figures if published.sql(figure.sql).rows() != [expected_row(figure)]]
