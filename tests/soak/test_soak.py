"""A simulated year of nights: what is published on days 30, 90, 180 and 365 is what rebuilds give.

Six busy nights in CI; `make soak` lives the year, `JOURNEYFLOW_SOAK_DAYS=365`. With `JOURNEYFLOW_SOAK_EVERY=10`
it is judged every ten nights as well, with `JOURNEYFLOW_SEED=8` it is another year.
"""

from __future__ import annotations

import os
from datetime import date

import pytest

from soak.year import Year

DAYS = int(os.environ.get("JOURNEYFLOW_SOAK_DAYS", "0"))
EVERY = int(os.environ.get("JOURNEYFLOW_SOAK_EVERY", "0"))
SEED = int(os.environ.get("JOURNEYFLOW_SEED", "7"))
JUDGED = (30, 90, 180, 365)


def live(year: Year, days: int, judged: set[int]) -> None:
    for day in range(1, days + 1):
        year.day()
        if day in judged:
            year.judge()
        assert not year.diary.differences, year.diary.told()
    files, count = year.files_and_records()
    year.diary.note("contents of files read", files)
    year.diary.note("records in them", count)


def test_six_busy_nights(tmp_path):
    """They pass the end of March, when the clocks go forward and the month changes."""
    year = Year(tmp_path, seed=SEED, first=date(2025, 3, 27), shoppers=40, visits=9, pace=4)
    live(year, 6, {6})
    print(f"\n{year.diary.told()}")  # noqa: T201 - for whoever asks pytest not to capture it
    assert year.diary.counts["kills survived"] + year.diary.counts["nights too fast for their kill"]


@pytest.mark.skipif(not DAYS, reason="a year takes long: make soak")
def test_a_year(tmp_path):
    """It begins before the clocks go back, and they go forward in it."""
    year = Year(tmp_path, seed=SEED, first=date(2024, 9, 20))
    judged = {day for day in JUDGED if day <= DAYS} | ({*range(EVERY, DAYS, EVERY)} if EVERY else set()) | {DAYS}
    try:
        live(year, DAYS, judged)
    finally:
        print(f"\n{year.diary.told()}")  # noqa: T201 - for `make soak`
