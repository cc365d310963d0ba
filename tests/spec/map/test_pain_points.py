"""Pain points and lifts with figures worked out by hand: one model of three stages, two personas, two months.

The app's payment page is left by 12 of 60 students in February and by 25 of 50 in March: at February's rate 10 would have left, so 15
more did. Of families 9 of 30 leave in both months. A new page comes up in March and is compared with the rest of the stage.
"""

# ruff: noqa: E501 - tables are easier to read unbroken
from __future__ import annotations

import math

import polars as pl
import pytest

from journeyflow.statistics import tests
from journeyflow.statistics.tests import pain_tests
from support.marts import GRAPH, built
from support.rows import assert_same_rows
from support.text_tables import rows_of

GIVEN = {
    "config.settings": """
        min_count
        30
    """,
    "config.stages": """
        model | model_index | stage | stage_index
        shop  | 1           | look  | 1
        shop  | 1           | buy   | 2
        shop  | 1           | enjoy | 3
    """,
    "map.exposures": """
        exposure_ix | exposure_kind | subject
        1          | touchpoint   | app: pay
        2          | touchpoint   | web: new page
        3          | channel      | app
        4          | channel      | web
        5          | friction     | Payment failed
        6          | signal       | payment_error
        7          | return       | 1
    """,
    "map.stage_bases": """
        model_index | persona | period  | stage_index | person_count | visited_count | matured_visited_count | matured_advanced_count
        1           | student | 2026-02 | 2           | 100          | 100           | 100                   | 70
        1           | student | 2026-03 | 2           | 120          | 120           | 110                   | 60
        1           | student | all     | 2           | 200          | 200           | 200                   | 130
        1           | family  | 2026-02 | 2           | 50           | 50            | 50                    | 35
        1           | family  | 2026-03 | 2           | 50           | 50            | 50                    | 35
        1           | family  | all     | 2           | 90           | 90            | 90                    | 63
        1           | all     | 2026-02 | 2           | 150          | 150           | 150                   | 105
        1           | all     | 2026-03 | 2           | 170          | 170           | 160                   | 95
        1           | student | all     | 3           | 130          | 130           | 130                   | 0
        1           | all     | all     | 3           | 130          | 130           | 130                   | 0
        1           | all     | all     | 2           | 290          | 290           | 290                   | 193
    """,
    "map.exposure_counts": """
        model_index | persona | period  | stage_index | exposure_ix | person_count | touch_count | matured_count | matured_advanced_count
        1           | student | 2026-02 | 2           | 1          | 60           | 60          | 60            | 48
        1           | student | 2026-03 | 2           | 1          | 55           | 90          | 50            | 25
        1           | student | all     | 2           | 1          | 100          | 130         | 100           | 65
        1           | student | 2026-03 | 2           | 2          | 65           | 65          | 60            | 20
        1           | student | all     | 2           | 2          | 60           | 60          | 60            | 20
        1           | student | 2026-03 | 2           | 5          | 40           | 55          | 40            | 10
        1           | student | 2026-02 | 2           | 5          | 35           | 55          | 35            | 10
        1           | student | 2026-03 | 2           | 6          | 40           | 55          | 40            | 10
        1           | student | all     | 3           | 1          | 90           | 90          | 90            | 0
        1           | student | all     | 3           | 2          | 40           | 40          | 40            | 0
        1           | family  | 2026-02 | 2           | 1          | 30           | 30          | 30            | 21
        1           | family  | 2026-03 | 2           | 1          | 30           | 30          | 30            | 21
        1           | family  | all     | 2           | 1          | 50           | 50          | 50            | 35
        1           | all     | 2026-02 | 2           | 1          | 90           | 90          | 90            | 69
        1           | all     | 2026-03 | 2           | 1          | 85           | 120         | 80            | 46
        1           | all     | all     | 2           | 1          | 150          | 180         | 150           | 100
        1           | all     | 2026-03 | 2           | 2          | 65           | 65          | 60            | 20
        1           | all     | all     | 2           | 2          | 60           | 60          | 60            | 20
        1           | all     | 2026-03 | 2           | 5          | 40           | 55          | 40            | 10
        1           | all     | 2026-02 | 2           | 5          | 35           | 55          | 35            | 10
        1           | all     | all     | 3           | 1          | 90           | 90          | 90            | 0
        1           | all     | all     | 3           | 2          | 40           | 40          | 40            | 0
        1           | all     | 2026-03 | 2           | 6          | 40           | 55          | 40            | 10
        1           | student | 2026-03 | 2           | 3          | 120          | 155         | 110           | 60
        1           | all     | 2026-03 | 2           | 3          | 170          | 185         | 160           | 95
        1           | family  | 2026-03 | 2           | 3          | 50           | 30          | 50            | 35
    """,
    "map.stage_attempt_counts": """
        model_index | persona | period  | stage_index | exposure_ix | exposure | pass_count | matured_count | matured_advanced_count
        1           | student | 2026-02 | 2           | 0          | met      | 100        | 100           | 70
        1           | student | 2026-03 | 2           | 0          | met      | 120        | 110           | 60
        1           | student | all     | 2           | 0          | met      | 220        | 210           | 130
        1           | family  | 2026-02 | 2           | 0          | met      | 50         | 50            | 35
        1           | family  | 2026-03 | 2           | 0          | met      | 50         | 50            | 35
        1           | family  | all     | 2           | 0          | met      | 100        | 100           | 70
        1           | student | all     | 3           | 0          | met      | 130        | 130           | 0
        1           | student | 2026-02 | 2           | 1          | met      | 60         | 60            | 48
        1           | student | 2026-03 | 2           | 1          | met      | 55         | 50            | 25
        1           | student | 2026-03 | 2           | 2          | met      | 65         | 60            | 20
        1           | student | 2026-03 | 2           | 5          | met      | 40         | 40            | 10
        1           | student | 2026-02 | 2           | 5          | met      | 35         | 35            | 10
        1           | student | all     | 3           | 1          | met      | 90         | 90            | 0
        1           | student | all     | 3           | 2          | met      | 40         | 40            | 0
        1           | family  | 2026-02 | 2           | 1          | met      | 30         | 30            | 21
        1           | family  | 2026-03 | 2           | 1          | met      | 30         | 30            | 21
        1           | student | all     | 2           | 1          | met      | 115        | 110           | 73
        1           | student | all     | 2           | 2          | met      | 65         | 60            | 20
        1           | student | all     | 2           | 5          | met      | 75         | 75            | 20
        1           | family  | all     | 2           | 1          | met      | 60         | 60            | 42
        1           | all     | 2026-02 | 2           | 0          | met      | 150        | 150           | 105
        1           | all     | 2026-03 | 2           | 0          | met      | 170        | 160           | 95
        1           | all     | all     | 2           | 0          | met      | 320        | 310           | 200
        1           | all     | all     | 3           | 0          | met      | 130        | 130           | 0
        1           | all     | 2026-02 | 2           | 1          | met      | 90         | 90            | 69
        1           | all     | 2026-03 | 2           | 1          | met      | 85         | 80            | 46
        1           | all     | 2026-03 | 2           | 2          | met      | 65         | 60            | 20
        1           | all     | 2026-03 | 2           | 5          | met      | 40         | 40            | 10
        1           | all     | 2026-02 | 2           | 5          | met      | 35         | 35            | 10
        1           | all     | all     | 3           | 1          | met      | 90         | 90            | 0
        1           | all     | all     | 3           | 2          | met      | 40         | 40            | 0
        1           | all     | all     | 2           | 1          | met      | 175        | 170           | 115
        1           | all     | all     | 2           | 2          | met      | 65         | 60            | 20
        1           | all     | all     | 2           | 5          | met      | 75         | 75            | 20
    """,
    "insights._pain_persons": """
        model_index | persona | period  | stage_index | exposure_ix | exposure | person_count | pass_count
        1           | student | 2026-02 | 2           | 1          | met      | 60 | 60
        1           | student | 2026-03 | 2           | 1          | met      | 55 | 55
        1           | student | 2026-03 | 2           | 2          | met      | 65 | 65
        1           | student | 2026-03 | 2           | 5          | met      | 40 | 40
        1           | student | 2026-02 | 2           | 5          | met      | 35 | 35
        1           | student | all     | 3           | 1          | met      | 90 | 90
        1           | student | all     | 3           | 2          | met      | 40 | 40
        1           | family  | 2026-02 | 2           | 1          | met      | 30 | 30
        1           | family  | 2026-03 | 2           | 1          | met      | 30 | 30
        1           | student | all     | 2           | 1          | met      | 115 | 115
        1           | student | all     | 2           | 2          | met      | 65 | 65
        1           | student | all     | 2           | 5          | met      | 75 | 75
        1           | family  | all     | 2           | 1          | met      | 60 | 60
        1           | all     | 2026-02 | 2           | 1          | met      | 90 | 90
        1           | all     | 2026-03 | 2           | 1          | met      | 85 | 85
        1           | all     | 2026-03 | 2           | 2          | met      | 65 | 65
        1           | all     | 2026-03 | 2           | 5          | met      | 40 | 40
        1           | all     | 2026-02 | 2           | 5          | met      | 35 | 35
        1           | all     | all     | 3           | 1          | met      | 90 | 90
        1           | all     | all     | 3           | 2          | met      | 40 | 40
        1           | all     | all     | 2           | 1          | met      | 175 | 175
        1           | all     | all     | 2           | 2          | met      | 65 | 65
        1           | all     | all     | 2           | 5          | met      | 75 | 75
    """,
}
TABLES = ("insights.pain_points", "marts.touchpoints")


@pytest.fixture(scope="module")
def shop():
    with built(TABLES, GIVEN) as engine:
        yield engine


def said(engine, query):
    return engine.rows(query).to_pylist()


def tail(exposed, hits, base, base_hits):
    """Return the chance of as many hits or more among the exposed, and of that many for each."""
    marked, everybody = hits + base_hits, exposed + base
    ways = {
        count: math.comb(marked, count) * math.comb(everybody - marked, exposed - count)
        for count in range(max(0, marked - base), min(exposed, marked) + 1)
    }
    return {count: way / sum(ways.values()) for count, way in ways.items()}


def test_the_pains_of_march_of_students(shop):
    """App pay: 25 of 50 left, where 12 of 60 did in February: 10 were to be expected, 15 more left.

    The new page was not there in February. The stage had 210 visitors in both months, of whom 80 left; of the 150 who did not meet the
    page 40 did. Of the 60 who met it 16 were to be expected, and 40 left: 24 more. Friction: 30 of 40 left, of the 170 others 50, so 11.8
    were to be expected.
    """
    listed = "select pain_rank, stage, pain_point, kind, scope, person_count, matured_count, compared_with, drop_off_rate, baseline_rate, lost_count from insights.pain_points where persona = 'student' and period = '2026-03'"
    types = {name: column.type for name, column in GRAPH["insights.pain_points"].columns.items()}
    expected = """
        pain_rank | stage | pain_point     | kind     | scope     | person_count | matured_count | compared_with  | drop_off_rate      | baseline_rate      | lost_count
        1         | buy   | web: new page  | drop_off | specific  | 65           | 60            | other passes   | 0.6666666666666666 | 0.26666666666666666 | 24
        2         | buy   | Payment failed | friction | recurring | 40           | 40            | other passes   | 0.75               | 0.29411764705882354 | 18
        3         | buy   | app: pay       | drop_off | specific  | 55           | 50            | other months   | 0.5                | 0.2                | 15
    """
    assert_same_rows(shop.rows(listed), rows_of(shop, types, expected), ["pain_rank"])


def test_q_is_the_tail_after_benjamini_and_hochberg(shop):
    """Students in March have two tests: the least of the two p-values counts twice."""
    pay = sum(chance for count, chance in tail(50, 25, 60, 12).items() if count >= 25)
    page = sum(chance for count, chance in tail(60, 40, 150, 40).items() if count >= 40)
    rows = said(
        shop, "select pain_point, q_value from insights.pain_points where persona = 'student' and period = '2026-03'"
    )
    found = {row["pain_point"]: row["q_value"] for row in rows}
    assert page < pay
    assert found == {"app: pay": pytest.approx(pay), "web: new page": pytest.approx(2 * page), "Payment failed": None}


def test_everybody_is_weighed_and_tested_by_persona(shop):
    """Of 50 students 10 would have left, of 30 families 9: 34 of 80 did, 15 more than the 19 to be expected."""
    (row,) = said(
        shop, "select * from statistics.pain_tests where persona = 'all' and period = '2026-03' and exposure_ix = 1"
    )
    assert row["matured_count"] == 80
    assert row["baseline_rate"] == pytest.approx(19 / 80)
    assert row["lost"] == pytest.approx(15)
    students, families = tail(50, 25, 60, 12), tail(30, 9, 30, 9)
    chance = sum(a * b for x, a in students.items() for y, b in families.items() if x + y >= 34)
    assert row["p_value"] == pytest.approx(chance)


def test_all_periods_compare_with_the_stage_s_other_passes(shop):
    """Of the passes of students in both months 37 of 110 that met the page ended there, 43 of the 100 that did not."""
    (row,) = said(
        shop, "select * from statistics.pain_tests where persona = 'student' and period = 'all' and exposure_ix = 1"
    )
    assert (row["compared_with"], row["baseline_rate"]) == ("other passes", 0.43)
    assert row["excess_rate"] == pytest.approx(37 / 110 - 0.43)


def test_what_is_the_same_every_month_is_no_pain_of_a_month(shop):
    assert said(shop, "select 1 as wrong from insights.pain_points where persona = 'family'") == []


def test_as_many_as_min_count_are_tested_and_one_fewer_are_not(shop):
    (row,) = said(shop, "select * from statistics.pain_tests where persona = 'family' and period = '2026-02'")
    assert (row["matured_count"], row["compared_with"]) == (30, "other months")
    strata = pl.DataFrame(shop.rows(tests._STRATA))
    assert not pain_tests(strata, 31).filter(pl.col("persona") == "family", pl.col("period") == "2026-02").height


def test_nobody_goes_on_from_the_last_stage(shop):
    assert said(shop, "select 1 as wrong from statistics.pain_tests where stage_index = 3") == []
    rows = said(
        shop, "select * from marts.touchpoints where stage = 'enjoy' and persona = 'student' order by touchpoint"
    )
    assert [row["reach_rate"] for row in rows] == [pytest.approx(90 / 130), pytest.approx(40 / 130)]
    assert {row[name] for row in rows for name in ("lift", "next_stage_rate", "q_value")} == {None}


def test_signals_and_channels_are_no_pains(shop):
    assert said(shop, "select 1 as wrong from statistics.pain_tests where exposure_ix in (3, 4, 6)") == []


def test_the_lift_of_a_touchpoint(shop):
    """In March 25 of 50 students went on who met the page, and 35 of the 60 others."""
    (row,) = said(
        shop,
        "select * from marts.touchpoints where persona = 'student' and period = '2026-03' and touchpoint = 'app: pay'",
    )
    assert (row["person_count"], row["visited_count"], row["is_small"]) == (55, 120, False)
    assert (row["next_stage_rate"], row["next_stage_rate_without"]) == (0.5, pytest.approx(35 / 60))
    assert row["lift"] == pytest.approx(0.5 / (35 / 60))
    half = 1.959963984540054 * math.sqrt(1 / 25.5 - 1 / 50.5 + 1 / 35.5 - 1 / 60.5)
    middle = math.log((25.5 / 50.5) / (35.5 / 60.5))
    assert (row["lift_low"], row["lift_high"]) == (
        pytest.approx(math.exp(middle - half)),
        pytest.approx(math.exp(middle + half)),
    )
    pay = tail(50, 25, 60, 35)
    page = tail(60, 20, 50, 40)
    two_sided = [
        sum(chance for chance in each.values() if chance <= each[seen] * (1 + 1e-9))
        for each, seen in ((pay, 25), (page, 20))
    ]
    assert row["q_value"] == pytest.approx(max(two_sided))


def test_too_few_to_compare_are_counted_and_not_compared(shop):
    """Of 50 families 30 met the page; the 20 others are too few."""
    (row,) = said(shop, "select * from marts.touchpoints where persona = 'family' and period = '2026-03'")
    assert (row["person_count"], row["next_stage_rate"], row["is_small"]) == (30, 0.7, True)
    assert (row["next_stage_rate_without"], row["lift"], row["lift_low"], row["q_value"]) == (None, None, None, None)
