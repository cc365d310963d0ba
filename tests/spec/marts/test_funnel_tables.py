"""A funnel with figures worked out by hand: cart, form, paid within seven days, known up to the end of March.

Ann and Abe (persona a) pay in March and February; Amy (a) leaves at the form and calls. Bob (b) leaves at the cart, Bea
(b) may still go on, and Ben (b) was dropped at the form by an error, his window still running.
"""

# ruff: noqa: E501 - tables are easier to read unbroken
from __future__ import annotations

import pytest

from support.marts import GRAPH, built
from support.rows import assert_same_rows
from support.text_tables import rows_of

MARTS = ("marts.funnel_steps", "marts.drop_offs", "marts.drop_off_next")
GIVEN = {
    "config.settings": """
        high_water_at       | min_count | report_currency | journeys_timeout_us
        2026-03-31 00:00:00 | 3         | EUR             | 2592000000000
    """,
    "config.funnels": """
        funnel   | funnel_index | kind  | unit   | step_count | window_us    | goal
        checkout | 1            | steps | person | 3          | 604800000000 | order
    """,
    "config.funnel_steps": """
        funnel   | funnel_index | step_index | step
        checkout | 1            | 1          | cart
        checkout | 1            | 2          | form
        checkout | 1            | 3          | paid
    """,
    "config.personas": """
        persona    | persona_index | is_outcome_based | is_trait_undated
        a          | 1             | false            | true
        b          | 2             | false            | false
        unassigned | 3             | false            | false
    """,
    "config.goals": """
        goal  | goal_index | value
        order | 1          | revenue_amount
    """,
    "config.rates": """
        currency | rate
        EUR      | 1
        USD      | 0.5
    """,
    "config.event_type_predicates": """
        event_type_ix | stage_index | predicate  | is_true
        3       | 0           | goal/order | true
    """,
    "journeys.event_types": """
        event_type_ix | kind_id | event_name | channel     | touchpoint        | condition_bits
        1             | k1      | cart       | web         | web: cart         | 0
        2             | k2      | form       | web         | web: form         | 0
        3             | k3      | purchase   | web         | web: purchase     | 0
        4             | k4      | call       | call_centre | call_centre: call | 0
    """,
    "kernel.journeys": """
        person_key | journey_index | entered_at          | last_event_at
        1          | 1             | 2026-03-01 10:00:00 | 2026-03-01 10:03:00
        2          | 1             | 2026-03-01 10:00:00 | 2026-03-01 10:03:00
        3          | 1             | 2026-03-02 10:00:00 | 2026-03-02 10:03:00
        4          | 1             | 2026-03-30 00:00:00 | 2026-03-30 00:00:00
        5          | 1             | 2026-02-28 10:00:00 | 2026-02-28 10:02:00
        6          | 1             | 2026-03-30 00:00:00 | 2026-03-30 00:01:00
    """,
    "journeys.personas": """
        person_key | journey_index | persona
        1          | 1             | a
        2          | 1             | a
        3          | 1             | b
        4          | 1             | b
        5          | 1             | a
        6          | 1             | b
    """,
    "kernel.funnel_units": """
        funnel_index | attempt_ix | unit_key | person_key | journey_index | entered_at          | entry_day  | depth | is_pending | is_matured | is_tie_decided
        1            | 1          | 1        | 1          | 1             | 2026-03-01 10:00:00 | 2026-03-01 | 3     | false      | true       | true
        1            | 2          | 2        | 2          | 1             | 2026-03-01 10:00:00 | 2026-03-01 | 2     | false      | true       | false
        1            | 3          | 3        | 3          | 1             | 2026-03-02 10:00:00 | 2026-03-02 | 1     | false      | true       | false
        1            | 4          | 4        | 4          | 1             | 2026-03-30 00:00:00 | 2026-03-30 | 1     | true       | false      | false
        1            | 5          | 5        | 5          | 1             | 2026-02-28 10:00:00 | 2026-02-28 | 3     | false      | true       | false
        1            | 6          | 6        | 6          | 1             | 2026-03-30 00:00:00 | 2026-03-30 | 2     | false      | false      | false
    """,
    "kernel.funnel_reaches": """
        funnel_index | attempt_ix | step_index | reached_at          | event_ix | is_visited | visited_at          | next_at             | last_event_type_ix | last_at             | next_event_type_ix
        1            | 1          | 1          | 2026-03-01 10:00:00 | 11       | true       | 2026-03-01 10:00:00 | 2026-03-01 10:01:00 | 1            | 2026-03-01 10:00:00 |
        1            | 1          | 2          | 2026-03-01 10:01:00 | 12       | true       | 2026-03-01 10:01:00 | 2026-03-01 10:03:00 | 2            | 2026-03-01 10:01:00 |
        1            | 1          | 3          | 2026-03-01 10:03:00 | 13       | true       | 2026-03-01 10:03:00 |                     | 3            | 2026-03-01 10:03:00 |
        1            | 2          | 1          | 2026-03-01 10:00:00 | 21       | true       | 2026-03-01 10:00:00 | 2026-03-01 10:02:00 | 1            | 2026-03-01 10:00:00 |
        1            | 2          | 2          | 2026-03-01 10:02:00 | 22       | true       | 2026-03-01 10:02:00 |                     | 2            | 2026-03-01 10:02:05 | 4
        1            | 3          | 1          | 2026-03-02 10:00:00 | 31       | true       | 2026-03-02 10:00:00 |                     | 1            | 2026-03-02 10:00:10 |
        1            | 4          | 1          | 2026-03-30 00:00:00 | 41       | true       | 2026-03-30 00:00:00 |                     | 1            | 2026-03-30 00:00:00 |
        1            | 5          | 1          | 2026-02-28 10:00:00 | 51       | true       | 2026-02-28 10:00:00 | 2026-02-28 10:01:00 | 4            | 2026-02-28 10:00:00 |
        1            | 5          | 2          | 2026-02-28 10:01:00 | 52       | true       | 2026-02-28 10:01:00 | 2026-02-28 10:02:00 | 2            | 2026-02-28 10:01:00 |
        1            | 5          | 3          | 2026-02-28 10:02:00 | 53       | true       | 2026-02-28 10:02:00 |                     | 3            | 2026-02-28 10:02:00 |
        1            | 6          | 1          | 2026-03-30 00:00:00 | 61       | true       | 2026-03-30 00:00:00 | 2026-03-30 00:00:30 | 1            | 2026-03-30 00:00:00 |
        1            | 6          | 2          | 2026-03-30 00:00:30 | 62       | true       | 2026-03-30 00:00:30 |                     | 2            | 2026-03-30 00:00:35 |
    """,
    "kernel.events": """
        event_ix | classification_key
        13       | 30
        53       | 30
    """,
    "kernel.classifications": """
        classification_key | model_index | event_type_ix
        30        | 1           | 3
    """,
    "sources.events": """
        event_ix | revenue_amount | currency
        13       | 100            | EUR
        53       | 50             | USD
    """,
}


def assert_rows(engine, mart, where, expected, key):
    types = {name: column.type for name, column in GRAPH[mart].columns.items()}
    wanted = rows_of(engine, types, expected)
    actual = engine.rows(f"select {', '.join(wanted.column_names)} from {mart} where {where}")
    assert_same_rows(actual, wanted, key)


@pytest.fixture(scope="module")
def engine():
    with built(MARTS, GIVEN) as engine:
        yield engine


WHOLE = "persona = 'all' and period = 'all'"


def test_counts_are_of_everybody(engine):
    expected = """
        step_index | step | person_count | converted_count | drop_off_count | pending_count | tie_decided_count
        1          | cart | 6            | 4               | 1              | 1             | 1
        2          | form | 4            | 2               | 2              | 0             | 1
        3          | paid | 2            | 2               |                |               | 1
    """
    assert_rows(engine, "marts.funnel_steps", WHOLE, expected, ["step_index"])


def test_rates_and_quantiles_are_of_matured_units(engine):
    # Nothing is small: the last rate is of the three at the form. Wilson: 1 of 4 and 1 of 3. Times to the form: 60, 60 and 120 s; to paid: 60 and 120 s.
    expected = """
        step_index | matured_count | matured_next_count | conversion_rate | step_conversion_rate | drop_off_rate      | drop_off_rate_low   | drop_off_rate_high | p10_seconds_to_next | p50_seconds_to_next | p90_seconds_to_next | is_small
        1          | 4             | 3                  | 1               |                      | 0.25               | 0.04558726080970039 | 0.6993581574175868 | 60                  | 60                  | 108                 | false
        2          | 3             | 2                  | 0.75            | 0.75                 | 0.3333333333333333 | 0.06149194472039609 | 0.7923403991979523 | 66                  | 90                  | 114                 | false
        3          | 2             | 2                  | 0.5             | 0.6666666666666666   |                    |                     |                    |                     |                     |                     | false
    """
    assert_rows(engine, "marts.funnel_steps", WHOLE, expected, ["step_index"])


def test_survival_keeps_the_dropped_at_risk_and_censors_at_the_high_water_mark(engine):
    # Form: six at risk; at 30 s 1 of 6, at 60 s 2 of 5, at 120 s 1 of 3. Paid: at 120 s 1 of 6, at 180 s 1 of 5.
    expected = """
        step_index | km_conversion_rate
        1          | 1
        2          | 0.6666666666666666
        3          | 0.3333333333333333
    """
    assert_rows(engine, "marts.funnel_steps", WHOLE, expected, ["step_index"])


def test_value_at_stake_is_what_those_who_went_on_brought(engine):
    # The mean order is (100 + 50 * 0.5) / 2 = 62.5; 2 of 3 who went on from the cart paid, 2 of 2 from the form.
    expected = """
        step_index | value_at_stake_amount | currency
        1          | 41.6667               | EUR
        2          | 125                   | EUR
        3          |                       | EUR
    """
    assert_rows(engine, "marts.funnel_steps", WHOLE, expected, ["step_index"])


def test_personas_and_months_have_their_own_rows(engine):
    expected = """
        persona    | period  | step_index | person_count | drop_off_count | pending_count | conversion_rate    | is_trait_undated
        a          | all     | 1          | 3            | 0              | 0             | 1                  | true
        a          | all     | 2          | 3            | 1              | 0             | 1                  | true
        a          | all     | 3          | 2            |                |               | 0.6666666666666666 | true
        a          | 2026-02 | 3          | 1            |                |               | 1                  | true
        a          | 2026-03 | 3          | 1            |                |               | 0.5                | true
        b          | all     | 3          | 0            |                |               | 0                  | false
        unassigned | all     | 1          | 0            | 0              | 0             |                    | false
        unassigned | all     | 2          | 0            | 0              | 0             |                    | false
        unassigned | all     | 3          | 0            |                |               |                    | false
    """
    where = """persona = 'a' and period = 'all' or persona = 'a' and step_index = 3
        or persona = 'b' and step_index = 3 and period = 'all' or persona = 'unassigned'"""
    assert_rows(engine, "marts.funnel_steps", where, expected, ["persona", "period", "step_index"])
    months = engine.rows("select distinct period from marts.funnel_steps where persona = 'b'")
    assert sorted(months["period"].to_pylist()) == ["2026-03", "all"]


def test_drop_offs_by_touchpoint_beside_those_who_went_on(engine):
    # From the cart three matured units went on, two of them seen last at the cart and one on a call.
    expected = """
        step_index | last_touchpoint | drop_off_count | share_rate | expected_rate      | lift | p50_seconds_before_leaving | value_at_stake_amount
        1          | web: cart       | 1              | 1          | 0.6666666666666666 | 1.5  | 10                         | 41.6667
        2          | web: form       | 2              | 1          | 1                  | 1    | 5                          | 125
    """
    assert_rows(engine, "marts.drop_offs", WHOLE, expected, ["step_index", "last_touchpoint"])


def test_next_actions_of_those_who_left(engine):
    expected = """
        step_index | next_action       | drop_off_count | share_rate
        1          | none              | 1              | 1
        2          | none              | 1              | 0.5
        2          | call_centre: call | 1              | 0.5
    """
    assert_rows(engine, "marts.drop_off_next", WHOLE, expected, ["step_index", "next_action"])


def test_an_amount_without_a_rate_makes_the_value_unknown():
    given = {**GIVEN, "config.rates": GIVEN["config.rates"].replace("USD", "JPY")}
    with built(MARTS, given) as engine:
        rows = engine.rows("select persona, period, value_at_stake_amount from marts.funnel_steps where step_index = 2")
    known = {(row["persona"], row["period"]) for row in rows.to_pylist() if row["value_at_stake_amount"] is not None}
    assert known == {("a", "2026-03"), ("all", "2026-03")}


def test_nobody_at_all_still_has_its_rows():
    empty = [name for name in GIVEN if name.startswith(("kernel.", "sources.")) or name == "journeys.personas"]
    with built(MARTS, {name: text for name, text in GIVEN.items() if name not in empty}) as engine:
        steps = engine.rows("select * from marts.funnel_steps").to_pylist()
        assert engine.rows("select * from marts.drop_offs").num_rows == 0
    assert len(steps) == 4 * 3
    rates = [name for name in steps[0] if name.endswith(("_rate", "_low", "_high", "_to_next"))]
    assert all(row[name] is None for row in steps for name in rates)
    assert {row["person_count"] for row in steps} == {0}
