"""What texts say: English is read, everything else is left unread and counted."""

from __future__ import annotations

import logging
import sys

import pyarrow as pa
import pytest

from journeyflow.engines import DuckDBEngine
from journeyflow.statistics import sentiment
from journeyflow.statistics.sentiment import TextReader, text_scores


@pytest.fixture(scope="module")
def reader():
    return TextReader()


@pytest.mark.parametrize(
    ("said", "sign"),
    [
        ("Easy to order, lovely quality.", 1),
        ("The app failed three times.", -1),
        ("I gave up.", 0),
        ("bad", -1),
        ("thanks", 1),
        ("love it", 1),
        ("NOT GOOD", -1),
        (":-)", 1),
    ],
)
def test_english_is_read_however_short(reader, said, sign):
    score = reader.score(said)
    assert score.language == "en"
    assert (score.sentiment > 0) - (score.sentiment < 0) == sign
    assert -1 <= score.sentiment <= 1


@pytest.mark.parametrize(
    ("said", "language"),
    [
        ("Die Lieferung war spät und der Karton kaputt.", "de"),
        ("Très bien, la livraison est arrivée tôt.", "fr"),
        ("El pago falló tres veces, fue terrible.", "es"),
        ("配達がとても遅かったです。", "ja"),
        ("Nie wieder", "de"),
        ("gut", "und"),
        ("Alles super", "und"),
        ("12345 / 67", "und"),
        ("?!", "und"),
    ],
)
def test_what_is_not_english_is_not_read(reader, said, language):
    score = reader.score(said)
    assert (score.language, score.sentiment) == (language, None)


@pytest.mark.parametrize(
    "said", ["\x00", "‮txet", "😡" * 2000, "but good " * 220, "=1+1", "<script>alert(1)</script>", "é" * 2000]
)
def test_any_text_is_scored_or_left_in_no_time(reader, said):
    score = reader.score(said)
    assert score.sentiment is None or -1 <= score.sentiment <= 1


def filled(rows, surveys=("csat",)):
    """Fill from (survey, text_key, text) and return (text_scores by key, survey_texts by survey)."""
    with DuckDBEngine(threads=1) as engine:
        numbers = {survey: number for number, survey in enumerate(surveys, 1)}
        answers = {
            "survey_index": pa.array([numbers[survey] for survey, _, _ in rows], pa.int32()),
            "text_key": pa.array([key for _, key, _ in rows], pa.uint64()),
            "answer_text": pa.array([said for _, _, said in rows], pa.string()),
            "has_text": pa.array([said is not None for _, _, said in rows], pa.bool_()),
        }
        named = {"survey": list(surveys), "survey_index": pa.array(list(numbers.values()), pa.int32())}
        engine.register("config.surveys", pa.table({**named, "has_text": [True] * len(surveys)}))
        engine.register("map.survey_answers", pa.table(answers))
        text_scores(engine)
        scores = engine.rows("select * from statistics.text_scores").to_pylist()
        texts = engine.rows("select * from statistics.survey_texts").to_pylist()
    return {row["text_key"]: row for row in scores}, {row["survey"]: row for row in texts}


def test_each_text_is_scored_once_and_counted_by_survey():
    german = "Die Lieferung war sehr spät."
    rows = [("csat", 1, "lovely"), ("csat", 1, "lovely"), ("csat", 2, german), ("nps", 2, german), ("nps", None, None)]
    scores, texts = filled(rows, ("csat", "nps", "none"))
    assert {key: row["language"] for key, row in scores.items()} == {1: "en", 2: "de"}
    counts = {survey: (row["text_count"], row["read_count"]) for survey, row in texts.items()}
    assert counts == {"csat": (3, 2), "nps": (1, 0), "none": (0, 0)}


def test_without_a_text_no_library_is_imported(monkeypatch):
    for name in list(sys.modules):
        if name.split(".")[0] in ("py3langid", "vaderSentiment"):
            monkeypatch.delitem(sys.modules, name)
    scores, texts = filled([("csat", None, None)])
    assert scores == {}
    assert texts["csat"]["text_count"] == 0
    assert not {"py3langid", "vaderSentiment"} & {name.split(".")[0] for name in sys.modules}


def test_of_too_many_texts_those_of_the_least_keys_are_read(monkeypatch):
    assert "limit 200000" in sentiment._TEXTS
    monkeypatch.setattr(sentiment, "_TEXTS", sentiment._TEXTS.replace("200000", "2"))
    scores, texts = filled([("csat", key, f"good {key}") for key in (9, 4, 7)])
    assert set(scores) == {4, 7}
    assert (texts["csat"]["text_count"], texts["csat"]["read_count"]) == (3, 2)


def test_no_text_reaches_a_log(caplog):
    with caplog.at_level(logging.DEBUG):
        filled([("csat", 1, "my secret telephone number")])
    assert "secret" not in caplog.text
