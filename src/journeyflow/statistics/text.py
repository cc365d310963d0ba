"""Sentiment of texts: language detection, and a lexicon for English."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from journeyflow.models.metadata import arrow_schema
from journeyflow.models.python_models import python_model

if TYPE_CHECKING:
    from journeyflow.engines import Engine


MOST_TEXTS = 200_000
"""Distinct texts that a run reads, in about five seconds; of more, those with the least keys, a random sample."""

LANGUAGES = (
    "ar", "bg", "cs", "da", "de", "el", "en", "es", "fi", "fr", "he", "hi", "hr", "hu", "id", "it", "ja", "ko",
    "nl", "no", "pl", "pt", "ro", "ru", "sk", "sl", "sv", "th", "tr", "uk", "vi", "zh",
)  # fmt: skip
"""Languages to distinguish: with all that the library knows, short English texts are misclassified."""

READ = "en"
UNKNOWN = "und"
SURE = 0.5
"""Probability from which the detected language is accepted."""

_WORDS = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*")
_SCORES = "statistics.text_scores"
_TEXTS = f"""
    select text_key, min(answer_text) as answer_text
    from map.survey_answers
    where has_text
    group by text_key
    order by text_key
    limit {MOST_TEXTS}
"""
_COVERAGE = """
    select
        surveys.survey,
        count(answers.text_key) as text_count,
        count(*) filter (where scores.is_read) as read_count
    from config.surveys
    left join map.survey_answers as answers on answers.survey_index = surveys.survey_index
    left join statistics.text_scores as scores on scores.text_key = answers.text_key
    where surveys.has_text
    group by surveys.survey
"""


@dataclass(frozen=True)
class TextScore:
    """The language of a text (ISO 639-1, or `UNKNOWN`) and its sentiment from -1 to 1, None where it is not read."""

    language: str
    sentiment: float | None


class TextReader:
    """Scores texts; constructing one loads the language model and the lexicon, which takes half a second.

    References
    ----------
    Hutto and Gilbert (2014), "VADER: A parsimonious rule-based model for sentiment analysis of social media text";
    Lui and Baldwin (2012), "langid.py: An off-the-shelf language identification tool".
    """

    def __init__(self) -> None:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier  # type: ignore[import-untyped]
        from vaderSentiment.vaderSentiment import (  # type: ignore[import-untyped]
            SentimentIntensityAnalyzer,
        )

        self._languages = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
        self._languages.set_languages(LANGUAGES)
        self._analyzer = SentimentIntensityAnalyzer()

    def score(self, text: str) -> TextScore:
        """Return the language of a text, which the caller has capped, and, if it is read, its sentiment."""
        language, probability = self._languages.classify(text)
        if probability < SURE:
            language = READ if self._looks_english(text, language) else UNKNOWN
        if language != READ:
            return TextScore(language, None)
        return TextScore(READ, round(float(self._analyzer.polarity_scores(text)["compound"]), 6))

    def _looks_english(self, text: str, guess: str) -> bool:
        """Return whether a text of uncertain language is English: by the best guess, or all words in the lexicon."""
        words = _WORDS.findall(text)
        if not words:
            # An emoticon has no language, and is read where the lexicon has it.
            return bool(self._analyzer.polarity_scores(text)["compound"])
        return guess == READ or all(word.lower() in self._analyzer.lexicon for word in words)


@python_model(_SCORES, "statistics.survey_texts")
def text_scores(engine: Engine) -> None:
    """Fill the scores of the distinct texts of answers, and how many texts of each survey were read.

    Without a text no model is loaded. Messages never contain the words of a text.
    """
    texts = engine.rows(_TEXTS)
    engine.register(_SCORES, _scored(texts) if texts.num_rows else arrow_schema(_SCORES).empty_table())
    engine.run("statistics.survey_texts", _COVERAGE)


def _scored(texts: pa.Table) -> pa.Table:
    reader = TextReader()
    rows = [_row(key, reader.score(text)) for key, text in zip(*texts.to_pydict().values(), strict=True)]
    return pa.Table.from_pylist(rows, schema=arrow_schema(_SCORES))


def _row(text_key: int, score: TextScore) -> dict[str, Any]:
    sentiment = None if score.sentiment is None else Decimal(f"{score.sentiment:.6f}")
    return {
        "text_key": text_key,
        "language": score.language,
        "is_read": sentiment is not None,
        "text_sentiment": sentiment,
    }
