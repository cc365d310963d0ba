"""Sentiment of texts: language detection, and a lexicon for English."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    from journeyflow.config import Config
    from journeyflow.engines import Engine


MOST_TEXTS = 200_000
"""Distinct texts that are read in a run, about five seconds' worth; of more, those of the least keys, a fair sample."""

LANGUAGES = (
    "ar", "bg", "cs", "da", "de", "el", "en", "es", "fi", "fr", "he", "hi", "hr", "hu", "id", "it", "ja", "ko",
    "nl", "no", "pl", "pt", "ro", "ru", "sk", "sl", "sv", "th", "tr", "uk", "vi", "zh",
)  # fmt: skip
"""Languages that a text is looked for in: with all that are known, short English texts become anything."""

READ = "en"
UNKNOWN = "und"
SURE = 0.5
"""Probability from which a language is believed."""

_WORDS = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*")
_SCORE = pa.decimal128(9, 6)
_SCORES = pa.schema({"text_key": pa.uint64(), "language": pa.string(), "is_read": pa.bool_(), "text_sentiment": _SCORE})
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
    """What one text says.

    Parameters
    ----------
    language : str
        ISO 639-1 code, `und` where it cannot be told.
    sentiment : float or None
        From -1 to 1; None for a text that is not read.
    """

    language: str
    sentiment: float | None


class TextReader:
    """Reads texts; making one loads the model of languages and the lexicon, half a second's work.

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
        """Return the language of a text and, if it is read, its sentiment.

        Parameters
        ----------
        text : str
            Capped by the caller.
        """
        language, probability = self._languages.classify(text)
        if probability < SURE:
            language = READ if self._looks_english(text, language) else UNKNOWN
        if language != READ:
            return TextScore(language, None)
        return TextScore(READ, round(float(self._analyzer.polarity_scores(text)["compound"]), 6))

    def _looks_english(self, text: str, guess: str) -> bool:
        """Judge a text too short to tell by: English where that is the best guess, or the lexicon has all its words."""
        words = _WORDS.findall(text)
        if not words:
            # Signs alone are read where the lexicon knows them: a smile is of no language.
            return bool(self._analyzer.polarity_scores(text)["compound"])
        return guess == READ or all(word.lower() in self._analyzer.lexicon for word in words)


def fill_text_scores(engine: Engine, config: Config) -> None:
    """Fill `statistics.text_scores` and `statistics.survey_texts`: what the distinct texts of answers say.

    Parameters
    ----------
    engine : Engine
        Holds `map.survey_answers` and `config.surveys`.
    config : Config
        Not read.

    Notes
    -----
    Without a text nothing is imported. A text that cannot be scored is unread, and its words are in no message.
    """
    del config
    texts = engine.rows(_TEXTS)
    engine.register("statistics.text_scores", _scored(texts) if texts.num_rows else _SCORES.empty_table())
    engine.run("statistics.survey_texts", _COVERAGE)


def _scored(texts: pa.Table) -> pa.Table:
    reader = TextReader()
    rows = [_row(key, reader.score(text)) for key, text in zip(*texts.to_pydict().values(), strict=True)]
    return pa.Table.from_pylist(rows, schema=_SCORES)


def _row(text_key: int, score: TextScore) -> dict[str, Any]:
    sentiment = None if score.sentiment is None else Decimal(f"{score.sentiment:.6f}")
    return {
        "text_key": text_key,
        "language": score.language,
        "is_read": sentiment is not None,
        "text_sentiment": sentiment,
    }
