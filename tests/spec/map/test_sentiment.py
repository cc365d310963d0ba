"""Sentiment with figures worked out by hand.

Four people answer in `served` with 5, 4, 4 and 1 of 5 stars: sentiments 1, 0.5, 0.5 and -1, mean 0.25. Two of them write, as
do two who give no stars in `loyal`: one in English and one in German. Of eight visitors of `buying`, one met an error, one
clicked in rage, one did both.
"""

# ruff: noqa: E501 - tables are easier to read unbroken
from __future__ import annotations

import math

import pytest

from support.marts import built

GIVEN = {
    "config.settings": """
        high_water_at       | min_count
        2026-03-31 00:00:00 | 1
    """,
    "config.models": """
        model | model_index
        m     | 1
    """,
    "config.stages": """
        model | model_index | stage  | stage_index
        m     | 1           | aware  | 1
        m     | 1           | buying | 2
        m     | 1           | served | 3
        m     | 1           | loyal  | 4
    """,
    "config.personas": """
        persona    | persona_index
        unassigned | 1
    """,
    "config.months": """
        month   | start_at            | end_at
        2026-03 | 2026-03-01 00:00:00 | 2026-04-01 00:00:00
    """,
    "config.surveys": """
        survey | survey_index | kind  | least | most | is_low_good | has_score | has_text
        stars  | 1            | score | 1     | 5    | false       | true      | true
    """,
    "kernel.classifications": """
        classification_key | model_index | stage_index
        3         | 1           | 3
        4         | 1           | 4
        2         | 1           | 2
    """,
    "map.survey_answers": """
        event_ix | survey | survey_index | person_key | journey_index | classification_key | answered_at         | score | has_text | text_key | answer_text
        1        | stars  | 1            | 1          | 1             | 3         | 2026-03-02 00:00:00 | 5     | true     | 11       | terrible, awful, I hate it
        2        | stars  | 1            | 2          | 1             | 3         | 2026-03-02 00:00:00 | 4     | false    |          |
        3        | stars  | 1            | 3          | 1             | 3         | 2026-03-02 00:00:00 | 4     | false    |          |
        4        | stars  | 1            | 4          | 1             | 3         | 2026-03-02 00:00:00 | 1     | true     | 12       | Das war sehr schlecht und zu spät
        5        | stars  | 1            | 5          | 1             | 4         | 2026-03-02 00:00:00 |       | true     | 13       | I love it, great service
        6        | stars  | 1            | 6          | 1             | 4         | 2026-03-02 00:00:00 |       | true     | 12       | Das war sehr schlecht und zu spät
    """,
    "map.stage_bases": """
        model_index | persona | period | stage_index | visited_count
        1           | all     | all    | 1           | 0
        1           | all     | all    | 2           | 8
        1           | all     | all    | 3           | 6
        1           | all     | all    | 4           | 2
    """,
    "map.frustrations": """
        model_index | persona | period | stage_index | frustrated_count
        1           | all     | all    | 2           | 3
        1           | all     | all    | 4           | 1
    """,
}


@pytest.fixture(scope="module")
def told():
    with built(("marts.stage_sentiment", "statistics.survey_texts"), GIVEN) as engine:
        rows = engine.rows("select * from marts.stage_sentiment where persona = 'all' and period = 'all'").to_pylist()
        texts = engine.rows("select text_count, read_count from statistics.survey_texts").to_pylist()
    return {row["stage"]: row for row in rows}, texts


def test_scores_are_observed_whatever_was_written(told):
    row = told[0]["served"]
    assert (row["sentiment"], row["answer_count"], row["evidence"]) == (0.25, 4, "observed")
    assert row["method"] == "surveys: stars"
    # Squares of the distances 0.75, 0.25, 0.25 and 1.25 add up to 2.25; t of three degrees is 3.1824.
    reach = 3.182446305284263 * math.sqrt(2.25 / 3 / 4)
    assert reach > 1.25
    assert (row["sentiment_low"], row["sentiment_high"]) == (-1.0, 1.0)


def test_texts_are_inferred_and_only_english_is_read(told):
    row = told[0]["loyal"]
    assert (row["evidence"], row["method"], row["answer_count"]) == ("inferred", "text: VADER, English", 1)
    assert row["sentiment"] > 0.8
    assert told[1] == [{"text_count": 4, "read_count": 2}]


def test_behaviour_is_minus_the_share_of_the_frustrated(told):
    row = told[0]["buying"]
    assert (row["sentiment"], row["answer_count"]) == (-0.375, 8)
    assert (row["evidence"], row["method"]) == ("inferred", "behaviour")
    # Wilson of 3 in 8, turned round.
    z = 1.959963984540054
    middle = (3 + z**2 / 2) / (8 + z**2)
    half = z / (8 + z**2) * math.sqrt(3 * 5 / 8 + z**2 / 4)
    assert math.isclose(row["sentiment_low"], -middle - half, rel_tol=1e-9)
    assert math.isclose(row["sentiment_high"], -middle + half, rel_tol=1e-9)


def test_where_nobody_was_nothing_is_known(told):
    row = told[0]["aware"]
    assert (row["evidence"], row["answer_count"], row["sentiment"], row["method"]) == ("unknown", 0, None, None)


@pytest.mark.parametrize(
    ("frustrated", "min_count", "evidence"),
    [
        # The Wilson interval of 9 in 100 begins at 4.8 %, that of 10 in 100 at 5.5 %.
        ({"all": 9}, 30, "unknown"),
        ({"all": 10}, 30, "inferred"),
        ({"all": 10}, 101, "unknown"),
        ({"all": 1, "family": 20}, 30, "inferred"),
    ],
)
def test_a_proxy_that_is_always_about_nothing_is_unknown(frustrated, min_count, evidence):
    bases = [f"1 | {persona} | all | 2 | 100" for persona in ("all", "family")]
    signs = [f"1 | {persona} | all | 2 | {count}" for persona, count in frustrated.items()]
    given = {
        "map.stage_bases": "\n".join(["model_index | persona | period | stage_index | visited_count", *bases]),
        "map.frustrations": "\n".join(["model_index | persona | period | stage_index | frustrated_count", *signs]),
        "config.settings": f"high_water_at | min_count\n2026-03-31 00:00:00 | {min_count}",
        "map.survey_answers": "",
    }
    with built(("marts.stage_sentiment",), GIVEN | given) as engine:
        rows = engine.rows("select persona, evidence from marts.stage_sentiment where stage = 'buying'").to_pylist()
    assert {row["evidence"] for row in rows if row["persona"] == "all"} == {evidence}


def test_without_any_sign_behaviour_says_nothing():
    nobody = """
        model_index | persona | period | stage_index | frustrated_count
        1           | all     | all    | 2           | 0
    """
    calm = GIVEN | {"map.frustrations": nobody, "map.survey_answers": ""}
    with built(("marts.stage_sentiment",), calm) as engine:
        rows = engine.rows("select distinct evidence, sentiment from marts.stage_sentiment").to_pylist()
    assert rows == [{"evidence": "unknown", "sentiment": None}]
