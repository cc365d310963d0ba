"""Rows of `retention` as a triangle: a line per cohort, a column per age, open cells marked as open."""

from __future__ import annotations

import polars as pl

from journeyflow.errors import InputError
from journeyflow.publish.reader import PublishedTables
from journeyflow.utils.formatting import percent

OPEN = "open"
"""What a cell says of which nobody is settled yet; after a rate, that it is of those who are."""
LEAST = "at least "
"""What a rate `on_or_after` begins with that covers fewer ages than the others."""


def starts_of(marts: PublishedTables) -> list[str]:
    """Return the starts of the cohorts, in the order of the configuration; InputError where there is none."""
    starts = marts.sql("select start from retention group by start order by min(start_index)")["start"].to_list()
    if not starts:
        raise InputError("No cohort is followed: `cohorts: starts:` is empty. Add a start to it, or remove the key.")
    return starts


def triangle(rows: pl.DataFrame) -> pl.DataFrame:
    """Return cohort, person_count and a column of texts per age, of rows of one start, persona, channel and rule.

    The total row is the last. An empty cohort has dashes.
    """
    ages = sorted(rows["age_index"].unique().to_list())
    lines = []
    for (cohort,), cells in sorted(rows.group_by("cohort"), key=lambda each: (each[0][0] == "all", each[0][0])):
        texts = {row["age_index"]: _cell(row, ages[-1]) for row in cells.iter_rows(named=True)}
        lines.append([cohort, cells["person_count"].max(), *(texts.get(age, "") for age in ages)])
    schema = {"cohort": pl.String, "person_count": pl.Int64} | {str(age): pl.String for age in ages}
    return pl.DataFrame(lines, schema=schema, orient="row")


def _cell(row: dict[str, object], last_age: int) -> str:
    if not row["person_count"]:
        return "-"
    if row["retention_rate"] is None:
        return OPEN
    assert isinstance(row["retention_rate"], float)
    rate = percent(row["retention_rate"])
    if row["rule"] == "on_or_after":
        return rate if row["last_age_index"] == last_age else LEAST + rate
    return f"{rate} {OPEN}" if row["pending_count"] else rate
