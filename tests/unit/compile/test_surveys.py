"""Answers to surveys out of events: scores on the scale, texts, and nothing else."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from journeyflow.compile.config_tables import config_tables
from journeyflow.compile.staging_events import MOST_CHARACTERS, survey_answers

CSAT = {"event": "csat", "score": "properties.score", "text": "properties.said.text", "scale": [1, 5]}


@pytest.fixture
def answers(engine, configured, land):
    """Give the answers among events that are written as (name, properties); those of `excluded` are of no person."""

    def told(surveys, events, excluded=()):
        config = configured(surveys=surveys)
        land(*({"event_name": name, "properties": json.dumps(properties)} for name, properties in events))
        kept = [number for number in range(1, len(events) + 1) if number not in excluded]
        keys = {
            name: pa.array([7] * len(kept), kind)
            for name, kind in (("person_key", pa.uint64()), ("classification_key", pa.int64()))
        }
        journeys = pa.array([1] * len(kept), pa.int32())
        engine.register(
            "kernel.events", pa.table({"event_ix": pa.array(kept, pa.int64()), "journey_index": journeys, **keys})
        )
        tables = config_tables(config, run_id="r", high_water_us=0, first_event_us=0, person_secret="s")
        engine.register("config.surveys", tables["config.surveys"])
        engine.run("map.survey_answers", survey_answers(config))
        order = "order by event_ix, survey_index"
        return engine.rows(f"select * from map.survey_answers {order}").to_pylist()

    return told


@pytest.mark.parametrize(
    ("score", "read"),
    [(5, 5.0), ("1", 1.0), ("3.5", 3.5), (0, None), ("5.01", None), ("very", None), ("NaN", None), (None, None)],
)
def test_only_a_number_on_the_scale_is_a_score(answers, score, read):
    (row,) = answers({"csat": CSAT}, [("csat", {"score": score})])
    assert row["score"] == read
    assert not row["has_text"]


def test_a_text_is_trimmed_cut_and_keyed(answers):
    long = "x" * (MOST_CHARACTERS + 5)
    texts = [" fine ", "fine", "  ", long, None]
    rows = answers({"csat": CSAT}, [("csat", {"said": {"text": text}}) for text in texts])
    assert [row["answer_text"] for row in rows] == ["fine", "fine", None, long[:MOST_CHARACTERS], None]
    assert [row["has_text"] for row in rows] == [True, True, False, True, False]
    keys = [row["text_key"] for row in rows]
    assert keys[0] == keys[1] != keys[3]
    assert keys[2] is None


def test_one_event_may_answer_two_surveys_and_others_none(answers):
    surveys = {"csat": CSAT, "ease": {"event": "csat", "score": "properties.ease", "scale": [1, 7]}}
    rows = answers(surveys, [("csat", {"score": 2, "ease": 6}), ("nps", {"score": 3}), ("csat", {"score": 4})], [3])
    assert [(row["event_ix"], row["survey"], row["score"]) for row in rows] == [(1, "csat", 2.0), (1, "ease", 6.0)]


def test_names_are_values_and_never_sql(answers):
    name, key = "it's @score, --", "a'b@events"
    survey = {"event": name, "score": f"properties.{key}", "scale": [0, 1]}
    (row,) = answers({name: survey}, [(name, {key: 1}), ("other", {key: 1})])
    assert (row["survey"], row["score"]) == (name, 1.0)


def test_without_a_survey_there_is_no_answer(answers):
    assert answers({}, [("csat", {"score": 1})]) == []


def test_a_survey_of_texts_alone_has_no_scores(answers):
    (row,) = answers({"said": {"event": "csat", "text": "properties.text"}}, [("csat", {"text": "ok", "score": 1})])
    assert (row["score"], row["answer_text"]) == (None, "ok")
