"""Forecasts of pending units on real inputs, as of many earlier moments, beside what came."""

from __future__ import annotations

import csv
import gzip
from datetime import datetime, timedelta
from itertools import pairwise

import polars as pl
import pytest

from support.forecast_backtest import backtest, coverage, repeats

DAY = timedelta(days=1)
MONTHS = [datetime(1993 + (6 + month) // 12, (6 + month) % 12 + 1, 1) for month in range(72)]


def orders(folder):
    """Return the days on which each customer of CDNOW ordered."""
    found = {}
    for line in (folder / "truths/cdnow/CDNOW_master.txt").read_text(encoding="ascii", errors="ignore").splitlines():
        fields = line.split()
        if len(fields) > 1 and fields[1].isdigit():
            found.setdefault(fields[0], set()).add(datetime.strptime(fields[1], "%Y%m%d"))
    return {key: sorted(days) for key, days in found.items()}


def spells(folder):
    """Return when each person of mvad first became jobless, and when the person was employed again."""
    found = {}
    with gzip.open(folder / "truths/traminer/mvad.csv.gz", "rt", encoding="ascii") as file:
        for row in csv.DictReader(file):
            states = [value for name, value in row.items() if name[-2:].isdigit() and "." in name]
            begun = [month for month in range(1, 72) if states[month - 1] != states[month] == "joblessness"][:1]
            ended = [month for month in range(72) if begun and month > begun[0] and states[month] == "employment"][:1]
            if begun:
                found[row["id"]] = [MONTHS[month] for month in begun + ended]
    return found


def visits(folder):
    """Return when each visitor of a web log of four days (address and agent) began a visit: half an hour apart."""
    found = {}
    for line in (folder / "apache_logs/apache_logs").read_text(encoding="utf-8", errors="replace").splitlines():
        fields = line.split('"')
        if len(fields) > 5:
            at = datetime.strptime(fields[0].split("[")[1].split()[0], "%d/%b/%Y:%H:%M:%S")
            found.setdefault((fields[0].split()[0], fields[5]), []).append(at)
    return {
        key: [at for before, at in pairwise([datetime.min, *sorted(times)]) if at - before > timedelta(minutes=30)]
        for key, times in found.items()
    }


def assert_holds(rows: pl.DataFrame, least: int, off: float) -> None:
    rows = rows.filter(persona="all")
    assert rows.height >= least
    assert 0.9 <= coverage(rows) <= 1
    total = rows.select(pl.col("expected_count", "came").sum()).row(0)
    assert total[0] == pytest.approx(total[1], rel=off)


@pytest.mark.parametrize(("days", "steps"), [(30, 2), (90, 3)])
def test_next_orders_of_cdnow(external_data, days, steps):
    """Customers bought less from spring on, which no forecast of that time could know: it expects 8 % too many."""
    moments = [datetime(1997, 2, 1) + 6 * number * DAY for number in range(15)]
    rows = backtest(repeats(orders(external_data), steps, days * DAY), datetime(1998, 7, 1), moments)
    assert_holds(rows, 10, off=0.15)


@pytest.mark.parametrize("days", [183, 365])
def test_ways_back_to_employment(external_data, days):
    moments = [MONTHS[month] + DAY for month in range(20, 60, 3)]
    assert_holds(backtest(repeats(spells(external_data), 2, days * DAY), MONTHS[-1], moments), 10, off=0.15)


def test_visits_of_a_web_log_of_four_days(external_data):
    """Frequent visitors are seen in the first hours: they are left out, or little is known."""
    times = visits(external_data)
    first, last = min(each[0] for each in times.values()), max(each[-1] for each in times.values())
    rows = []
    for hours in (6, 12, 24):
        window = timedelta(hours=hours)
        moments = [first + window + timedelta(hours=1 + 3 * number) for number in range(24)]
        for steps in (2, 3):
            found = backtest(repeats(times, steps, window), last, [at for at in moments if at + window <= last])
            rows.append(found.filter(persona="all"))
    found = pl.concat(rows)
    assert found.height > 100
    assert 0.9 <= coverage(found) <= 1
    # Where next to nobody is expected, whole units cannot miss.
    assert 0.9 <= coverage(found.filter(pl.col("expected_count") >= 5)) <= 0.995
