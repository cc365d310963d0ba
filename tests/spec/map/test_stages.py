"""Who reached a stage of the map, worked out by hand: one model of three stages, two personas, February and March.

Each person counts once in the whole time and once in every month begun in. Ann went furthest in March, Bob in February and
again in March; Cat may still go on, Dan dropped from the first stage.
"""

# ruff: noqa: E501 - tables are easier to read unbroken
from __future__ import annotations

import pytest

from support.marts import GRAPH, built
from support.rows import assert_same_rows
from support.text_tables import rows_of

GIVEN = {
    "config.settings": """
        high_water_at       | min_count | report_currency | journeys_timeout_us
        2026-03-31 00:00:00 | 3         | EUR             | 2592000000000
    """,
    "config.funnels": """
        funnel | funnel_index | kind   | unit   | model | step_count | window_us
        shop   | 1            | stages | person | shop  | 3          | 604800000000
    """,
    "config.funnel_steps": """
        funnel | funnel_index | step_index | step
        shop   | 1            | 1          | look
        shop   | 1            | 2          | buy
        shop   | 1            | 3          | enjoy
    """,
    "config.models": """
        model | model_index
        shop  | 1
    """,
    "config.stages": """
        model | model_index | stage | stage_index
        shop  | 1           | look  | 1
        shop  | 1           | buy   | 2
        shop  | 1           | enjoy | 3
    """,
    "config.personas": """
        persona    | persona_index
        student    | 1
        unassigned | 2
    """,
    "journeys.journey_facts": """
        person_key | journey_index | persona
        1          | 1             | unassigned
        1          | 2             | student
        2          | 1             | student
        2          | 2             | student
        3          | 1             | student
        4          | 1             | student
    """,
    "kernel.map_journeys": """
        model_index | person_key | journey_index | entered_at          | month   | depth | visited_stages | is_pending | is_matured | is_furthest | is_furthest_in_month
        1           | 1          | 1             | 2026-02-03 10:00:00 | 2026-02 | 1     | 100            | false      | true       | false       | true
        1           | 1          | 2             | 2026-03-03 10:00:00 | 2026-03 | 3     | 101            | false      | true       | true        | true
        1           | 2          | 1             | 2026-02-05 10:00:00 | 2026-02 | 2     | 110            | false      | true       | true        | true
        1           | 2          | 2             | 2026-03-05 10:00:00 | 2026-03 | 2     | 010            | false      | true       | false       | true
        1           | 3          | 1             | 2026-03-29 10:00:00 | 2026-03 | 1     | 100            | true       | false      | true        | true
        1           | 4          | 1             | 2026-03-07 10:00:00 | 2026-03 | 1     | 100            | false      | true       | true        | true
    """,
    "journeys.event_types": """
        event_type_ix | kind_id | event_name | channel | touchpoint
        1       | k1      | view       | web     | web: view
    """,
    # What they touched is another test's.
    "map.exposure_counts": "",
    # The counted journeys of the stage funnel.
    "kernel.funnel_units": """
        funnel_index | attempt_ix | unit_key | person_key | journey_index | entered_at          | entry_day  | depth | is_pending | is_matured | is_tie_decided | is_in_order
        1            | 1          | 1        | 1          | 2             | 2026-03-03 10:00:00 | 2026-03-03 | 3     | false      | true       | false          | true
        1            | 2          | 2        | 2          | 1             | 2026-02-05 10:00:00 | 2026-02-05 | 2     | false      | true       | false          | true
        1            | 3          | 3        | 3          | 1             | 2026-03-29 10:00:00 | 2026-03-29 | 1     | true       | false      | false          | true
        1            | 4          | 4        | 4          | 1             | 2026-03-07 10:00:00 | 2026-03-07 | 1     | false      | true       | false          | true
    """,
    "kernel.funnel_reaches": """
        funnel_index | attempt_ix | step_index | reached_at          | is_visited | last_event_type_ix
        1            | 1          | 1          | 2026-03-03 10:00:00 | true       | 1
        1            | 1          | 2          | 2026-03-03 10:01:00 | false      | 1
        1            | 1          | 3          | 2026-03-03 10:01:00 | true       | 1
        1            | 2          | 1          | 2026-02-05 10:00:00 | true       | 1
        1            | 2          | 2          | 2026-02-05 10:01:00 | true       | 1
        1            | 3          | 1          | 2026-03-29 10:00:00 | true       | 1
        1            | 4          | 1          | 2026-03-07 10:00:00 | true       | 1
    """,
}


@pytest.fixture(scope="module")
def shop():
    with built(("marts.map_stages", "marts.funnel_steps"), GIVEN) as engine:
        yield engine


def assert_stages(engine, persona: str, period: str, expected: str) -> None:
    table = rows_of(engine, {name: column.type for name, column in GRAPH["marts.map_stages"].columns.items()}, expected)
    where = f"model = 'shop' and persona = '{persona}' and period = '{period}'"
    actual = engine.rows(f"select {', '.join(table.column_names)} from marts.map_stages where {where}")
    assert_same_rows(actual, table, ["stage"])


def test_the_whole_time_counts_everybody_once(shop):
    """Four people; Cat is not matured. Of Ann, Bob and Dan one left from the first stage, of Ann and Bob one from the second."""
    assert_stages(
        shop,
        "all",
        "all",
        """
        stage | stage_index | person_count | visited_count | skipped_count | converted_count | drop_off_count | pending_count | matured_count | matured_next_count | drop_off_rate      | is_small
        look  | 1           | 4            | 4             | 0             | 2               | 1              | 1             | 3             | 2                  | 0.3333333333333333 | false
        buy   | 2           | 2            | 1             | 1             | 1               | 1              | 0             | 2             | 1                  | 0.5                | true
        enjoy | 3           | 1            | 1             | 0             | 1               |                |               | 1             | 1                  |                    | true
        """,
    )


def test_a_month_counts_everybody_who_began_a_journey_in_it(shop):
    """Bob counts in both months, at the second stage each time; Ann looked only in February, when nobody knew her persona."""
    assert_stages(
        shop,
        "all",
        "2026-03",
        """
        stage | person_count | visited_count | skipped_count | converted_count | drop_off_count | pending_count | matured_count | drop_off_rate      | is_small
        look  | 4            | 3             | 1             | 2               | 1              | 1             | 3             | 0.3333333333333333 | false
        buy   | 2            | 1             | 1             | 1               | 1              | 0             | 2             | 0.5                | true
        enjoy | 1            | 1             | 0             | 1               |                |               | 1             |                    | true
        """,
    )
    for persona, buyers in (("all", 1), ("unassigned", 0)):
        assert_stages(
            shop,
            persona,
            "2026-02",
            f"""
            stage | person_count   | converted_count | drop_off_count | pending_count
            look  | {1 + buyers}   | {buyers}        | 1              | 0
            buy   | {buyers}       | 0               | {buyers}       | 0
            enjoy | 0              | 0               |                |
            """,
        )


def test_the_interval_is_of_the_matured_and_of_every_stage_but_the_last(shop):
    """Wilson of 1 in 3 and of 1 in 2, with the 97.5 % quantile 1.959964 of the normal distribution."""
    rows = shop.rows(
        "select drop_off_rate_low, drop_off_rate_high from marts.map_stages"
        " where persona = 'all' and period = 'all' order by stage_index"
    ).to_pylist()
    ends = [None if row["drop_off_rate_low"] is None else tuple(round(end, 4) for end in row.values()) for row in rows]
    assert ends == [(0.0615, 0.7923), (0.0945, 0.9055), None]


def test_the_whole_time_is_the_stage_funnel_and_a_month_is_not(shop):
    columns = (
        "person_count, visited_count, skipped_count, converted_count, drop_off_count, pending_count, matured_count,"
        " matured_next_count, drop_off_rate, drop_off_rate_low, drop_off_rate_high"
    )
    found = {
        (table, period): shop.rows(
            f"select {columns} from marts.{table} where persona = 'all' and period = '{period}' order by {order}"
        ).to_pylist()
        for table, order in (("map_stages", "stage_index"), ("funnel_steps", "step_index"))
        for period in ("all", "2026-02")
    }
    assert found["map_stages", "all"] == found["funnel_steps", "all"]
    looked = {table: found[table, "2026-02"][0]["person_count"] for table in ("map_stages", "funnel_steps")}
    assert looked == {"map_stages": 2, "funnel_steps": 1}
