"""Sentiment of texts by a lexicon, and of stages from survey scores, texts and behaviour."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from journeyflow.models.model import arrow_schema, python_model
from journeyflow.statistics.proportions import ALPHA, Floats, Ints, wilson_interval

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


TEXT_METHOD = "text: VADER, English"
BEHAVIOUR_METHOD = "behaviour"

# Sums of decimals, which come out the same in whatever order they are added.
_ANSWERS = f"""
    with answers_joined as (
        select
            answers.model_index, answers.stage_index, answers.persona, answers.period,
            surveys.survey, answers.sentiment, scores.text_sentiment
        from map.answer_stages as answers
        inner join config.surveys on surveys.survey_index = answers.survey_index
        left join statistics.text_scores as scores on scores.text_key = answers.text_key
    ),

    answers_split as (
        select model_index, stage_index, persona, period, 'score' as basis, survey, sentiment
        from answers_joined
        where sentiment is not null
        union all
        select model_index, stage_index, persona, period, 'text', null, text_sentiment
        from answers_joined
        where text_sentiment is not null
    )

    select
        model_index,
        coalesce(persona, 'all') as persona,
        coalesce(period, 'all') as period,
        stage_index,
        basis,
        case when basis = 'text' then '{TEXT_METHOD}'
            else 'surveys: ' || string_agg(distinct survey, ', ' order by survey) end as method,
        count(*) as answer_count,
        cast(sum(sentiment) as double) as total,
        cast(sum(sentiment * sentiment) as double) as total_of_squares
    from answers_split
    group by grouping sets (
        (model_index, stage_index, basis, persona, period),
        (model_index, stage_index, basis, persona),
        (model_index, stage_index, basis, period),
        (model_index, stage_index, basis)
    )
"""
LEAST_FRUSTRATION = 0.05
"""Share of visitors below which frustration is about nothing: a curve from -1 to 1 would show it as 0."""

_BEHAVIOUR = f"""
    select
        bases.model_index, bases.persona, bases.period, bases.stage_index,
        'behaviour' as basis, '{BEHAVIOUR_METHOD}' as method,
        bases.visited_count as answer_count, coalesce(signs.frustrated_count, 0) as frustrated_count,
        bases.visited_count >= settings.min_count as is_enough
    from map.stage_bases as bases
    cross join config.settings as settings
    left join map.frustrations as signs
        on signs.model_index = bases.model_index and signs.persona = bases.persona
        and signs.period = bases.period and signs.stage_index = bases.stage_index
    where bases.visited_count > 0
"""
_KEYS = ("model_index", "persona", "period", "stage_index", "basis", "method", "answer_count")


def mean_interval(counts: Ints, totals: Floats, totals_of_squares: Floats) -> tuple[Floats, Floats, Floats]:
    """Return means in [-1, 1] with the low and high ends of their 95 % t intervals, NaN for a single value.

    `totals` and `totals_of_squares` are sums over `counts` values (at least one) in [-1, 1].

    References
    ----------
    Student (1908), "The probable error of a mean"; quantiles by ``scipy.special.stdtrit``.

    Examples
    --------
    The mean of -1, 0, 1 and 1 is 0.25; a single value has no interval:

    >>> mean, low, high = mean_interval(np.array([4, 1]), np.array([1.0, 0.5]), np.array([3.0, 0.25]))
    >>> [round(float(each[0]), 4) for each in (mean, low, high)]
    [0.25, -1.0, 1.0]
    >>> float(mean[1]), bool(np.isnan(low[1]))
    (0.5, True)
    """
    from scipy.special import stdtrit

    mean = np.clip(totals / counts, -1.0, 1.0)
    freedom = np.where(counts > 1, counts - 1.0, np.nan)
    variance = np.maximum(totals_of_squares - counts * mean**2, 0.0) / freedom
    reach = stdtrit(freedom, 1 - ALPHA / 2) * np.sqrt(variance / counts)
    return mean, np.clip(mean - reach, -1.0, 1.0), np.clip(mean + reach, -1.0, 1.0)


@python_model("statistics.stage_sentiment")
def stage_sentiment(engine: Engine) -> pa.Table:
    """Return the sentiment of every stage by each basis that has data."""
    return pa.concat_tables([_of_answers(engine.rows(_ANSWERS)), _of_behaviour(engine.rows(_BEHAVIOUR))])


def _of_answers(answers: pa.Table) -> pa.Table:
    names = ("answer_count", "total", "total_of_squares")
    counts, totals, squares = (answers.column(name).to_numpy() for name in names)
    return _table(answers, *mean_interval(counts, totals, squares))


def _of_behaviour(behaviour: pa.Table) -> pa.Table:
    """Negate the share of frustrated visitors: -1 is all of them.

    A stage has rows only when frustration shows in it: in some persona and period of enough visitors, even the lower
    end of the share is `LEAST_FRUSTRATION` or more. Elsewhere the share is always about 0, which says nothing about
    feelings: signs may be rare there, or not recorded.
    """
    frustrated, visitors = (behaviour.column(name).to_numpy() for name in ("frustrated_count", "answer_count"))
    low, high = wilson_interval(frustrated, visitors)
    is_telling = behaviour.column("is_enough").to_numpy() & (low >= LEAST_FRUSTRATION)
    stages = np.stack([behaviour.column(name).to_numpy() for name in ("model_index", "stage_index")], axis=1)
    is_shown = (stages[:, None] == np.unique(stages[is_telling], axis=0)[None]).all(axis=2).any(axis=1)
    # Subtracted from 0, because negating a share of 0 gives -0.0.
    table = _table(behaviour, 0.0 - frustrated / visitors, 0.0 - high, 0.0 - low)
    return table.filter(pa.array(is_shown))


def _table(rows: pa.Table, sentiment: Floats, low: Floats, high: Floats) -> pa.Table:
    figures = {"sentiment": sentiment, "sentiment_low": low, "sentiment_high": high}
    columns = {name: rows.column(name) for name in _KEYS}
    columns |= {name: pa.array(values, pa.float64(), from_pandas=True) for name, values in figures.items()}
    return pa.table(columns)
