"""A simulated year of daily runs: what is published on days 30, 90, 180 and 365 equals full rebuilds.

`make soak` runs six busy runs and the year, `JOURNEYFLOW_SOAK_DAYS=365`. With `JOURNEYFLOW_SOAK_EVERY=10`
it is also compared every ten runs, with `JOURNEYFLOW_SEED=8` it is another year.
"""

from __future__ import annotations

import os
from datetime import date

import pytest

from soak.year import Year

DAYS = int(os.environ.get("JOURNEYFLOW_SOAK_DAYS", "0"))
EVERY = int(os.environ.get("JOURNEYFLOW_SOAK_EVERY", "0"))
SEED = int(os.environ.get("JOURNEYFLOW_SEED", "7"))
COMPARED = (30, 90, 180, 365)


def run_days(year: Year, days: int, compared: set[int]) -> None:
    for day in range(1, days + 1):
        year.day()
        if day in compared:
            year.compare()
        assert not year.tally.differences, year.tally.summary()
    files, count = year.files_and_records()
    year.tally.note("contents of files read", files)
    year.tally.note("records in them", count)


@pytest.mark.long
def test_six_busy_runs(tmp_path):
    """They pass the end of March, when the clocks go forward and the month changes."""
    year = Year(tmp_path, seed=SEED, first=date(2025, 3, 27), shoppers=40, visits=9, pace=4)
    run_days(year, 6, {6})
    print(f"\n{year.tally.summary()}")  # noqa: T201 - shown with pytest -s
    assert year.tally.counts["kills survived"] + year.tally.counts["runs too fast for their kill"]


@pytest.mark.skipif(not DAYS, reason="a year takes long: make soak")
def test_a_year(tmp_path):
    """It begins before the clocks go back, and they go forward in it."""
    year = Year(tmp_path, seed=SEED, first=date(2024, 9, 20))
    compared = {day for day in COMPARED if day <= DAYS} | ({*range(EVERY, DAYS, EVERY)} if EVERY else set()) | {DAYS}
    try:
        run_days(year, DAYS, compared)
    finally:
        print(f"\n{year.tally.summary()}")  # noqa: T201 - for `make soak`
