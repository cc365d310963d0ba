"""A rate that is not what it was is an alert of the run: the strongest of each funnel, of its newest day."""

from __future__ import annotations

from journeyflow.engines import DuckDBEngine
from journeyflow.pipeline.run_report import find_alerts
from support.text_tables import create

TYPES = {
    "funnel": "VARCHAR", "dimension": "VARCHAR", "slice": "VARCHAR", "step": "VARCHAR", "step_index": "INTEGER",
    "day": "DATE", "age_days": "INTEGER", "kind": "VARCHAR", "is_current": "BOOLEAN", "q_value": "DOUBLE",
    "statistic": "DOUBLE", "headline": "VARCHAR",
}  # fmt: skip
ROWS = """
 funnel | dimension | slice | step | step_index | day | age_days | kind | is_current | q_value | statistic | headline
 order | channel | x | paid | 2 | 2026-03-09 | 1 | day | true | 0.001 | -9 | Channel x.
 order | persona | a | paid | 2 | 2026-03-09 | 1 | day | true | 0.01 | -5 | Fewer pay.
 order | all | all | paid | 2 | 2026-03-09 | 1 | day | true | 0.02 | -6 | All pay less.
 trial | channel | x | used | 3 | 2026-03-07 | 0 | drift | true | 0.01 | 8 | Channel x.
 demo | all | all | seen | 2 | 2026-03-01 | 0 | day | false | 0.01 | 8 | Long known.
"""


def alerts(rows):
    with DuckDBEngine(threads=1) as engine:
        create(engine, "marts.rate_alarms", TYPES, rows)
        return find_alerts(engine, ()).messages


def test_the_strongest_of_each_funnel_and_no_name_that_comes_with_the_data():
    assert alerts(ROWS) == (
        ("rate", "Fewer pay. 2 more: journeyflow alerts."),
        ("rate", "Funnel trial, step used: the rate of a channel is not what it was."),
    )


def test_no_alert_without_a_row():
    assert alerts(ROWS.splitlines()[1]) == ()
