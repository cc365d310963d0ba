"""A run keeps its forecast of who is pending, and a later one says what came of it."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

import journeyflow
from support.order_project import ONE_FUNNEL

BUILT = ("marts.forecast_scores",)

START = datetime(2026, 3, 1)
HOUR = timedelta(hours=1)


def rows_of_days(days):
    """Return a day's six visitors who see a product at noon; two pay an hour later, one pays after 30 hours."""
    rows = []
    for day in days:
        for visitor in range(6):
            seen = START + timedelta(days=day) + 12 * HOUR
            paid = {0: HOUR, 1: HOUR, 2: 30 * HOUR}.get(visitor)
            name = f"{day}-{visitor}"
            rows.append(f"s{name},{seen},{name},,product_view")
            rows += [f"p{name},{seen + paid},{name},,purchase"] if paid else []
    return "\n".join(["id,at,cookie,customer,event", *rows, ""])


def scores(project):
    with journeyflow.open(project / "published") as published:
        columns = "forecast_at, pending_count, expected_count, low, high, settled_count, converted_count, is_inside"
        query = f"select {columns} from forecast_scores where persona = 'all' and funnel = 'order' order by forecast_at"
        return published.sql(query).rows()


def run_as_of(project, day, hour=14):
    journeyflow.run(project, as_of=START + timedelta(days=day) + hour * HOUR)


def test_a_forecast_is_kept_and_scored_when_its_windows_are_over(tmp_path):
    (tmp_path / "web").mkdir()
    (tmp_path / "journeyflow.yml").write_text(ONE_FUNNEL, encoding="utf-8")
    (tmp_path / "web" / "first.csv").write_text(rows_of_days(range(20)), encoding="utf-8")
    run_as_of(tmp_path, 10)
    (made,) = scores(tmp_path)
    # At 14:00 four of this day and four of the day before are pending: one of each four pays in time.
    assert made[:3] == (START + timedelta(days=10, hours=14), 8, pytest.approx(2))
    assert made[3] <= 2 <= made[4]
    assert made[5:] == (None, None, None)
    run_as_of(tmp_path, 10, hour=15)
    run_as_of(tmp_path, 11)
    assert [row[0].day for row in scores(tmp_path)] == [11, 12], "of a day the first forecast is kept"
    assert scores(tmp_path)[0] == made
    # A run as of an earlier day leaves what is kept alone.
    run_as_of(tmp_path, 13)
    first, second, _ = scores(tmp_path)
    assert first == (*made[:5], 8, 2, True)
    assert second[5:] == (8, 2, True)
    run_as_of(tmp_path, 9)
    assert [first, second] == scores(tmp_path)[1:3]
