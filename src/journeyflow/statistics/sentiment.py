"""Mean sentiment of stages from survey scores, texts and behaviour."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from journeyflow.statistics.proportions import ALPHA, wilson_interval

if TYPE_CHECKING:
    from journeyflow.config import Config
    from journeyflow.engines import Engine


Numbers = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

TEXT_METHOD = "text: VADER, English"
BEHAVIOUR_METHOD = "behaviour"

# Sums of decimals, which come out the same in whatever order they are added.
_ANSWERS = f"""
    with answers_told as (
        select
            answers.model_index, answers.stage_index, answers.persona, answers.period,
            surveys.survey, answers.sentiment, scores.text_sentiment
        from map.answer_stages as answers
        inner join config.surveys on surveys.survey_index = answers.survey_index
        left join statistics.text_scores as scores on scores.text_key = answers.text_key
    ),

    answers_split as (
        select model_index, stage_index, persona, period, 'score' as basis, survey, sentiment
        from answers_told
        where sentiment is not null
        union all
        select model_index, stage_index, persona, period, 'text', null, text_sentiment
        from answers_told
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
# Where no sign of frustration was ever seen, none may have been recorded: nothing is known then.
_BEHAVIOUR = f"""
    select
        bases.model_index, bases.persona, bases.period, bases.stage_index,
        'behaviour' as basis, '{BEHAVIOUR_METHOD}' as method,
        bases.visited_count as answer_count, coalesce(signs.frustrated_count, 0) as frustrated_count
    from map.stage_bases as bases
    left join map.frustrations as signs
        on signs.model_index = bases.model_index and signs.persona = bases.persona
        and signs.period = bases.period and signs.stage_index = bases.stage_index
    where bases.visited_count > 0
    and bases.model_index in (select model_index from map.frustrations where frustrated_count > 0)
"""
_KEYS = ("model_index", "persona", "period", "stage_index", "basis", "method", "answer_count")


def mean_interval(counts: Counts, totals: Numbers, totals_of_squares: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """Return means of sentiments with their 95 % t intervals.

    Parameters
    ----------
    counts : array of int64
        How many values each mean is of; at least 1.
    totals, totals_of_squares : array of float64
        Sums of the values, each in [-1, 1], and of their squares.

    Returns
    -------
    mean, low, high : arrays of float64
        In [-1, 1]; low and high are NaN for a single value.

    References
    ----------
    Student (1908), "The probable error of a mean"; quantiles by ``scipy.stats.t``.

    Examples
    --------
    Of -1, 0, 1 and 1 the mean is 0.25, and of a single value nothing more is known:

    >>> mean, low, high = mean_interval(np.array([4, 1]), np.array([1.0, 0.5]), np.array([3.0, 0.25]))
    >>> [round(float(each[0]), 4) for each in (mean, low, high)]
    [0.25, -1.0, 1.0]
    >>> float(mean[1]), bool(np.isnan(low[1]))
    (0.5, True)
    """
    from scipy.stats import t

    mean = np.clip(totals / counts, -1.0, 1.0)
    freedom = np.where(counts > 1, counts - 1.0, np.nan)
    variance = np.maximum(totals_of_squares - counts * mean**2, 0.0) / freedom
    reach = t.ppf(1 - ALPHA / 2, freedom) * np.sqrt(variance / counts)
    return mean, np.clip(mean - reach, -1.0, 1.0), np.clip(mean + reach, -1.0, 1.0)


def fill_stage_sentiment(engine: Engine, config: Config) -> None:
    """Fill `statistics.stage_sentiment`: the sentiment of every stage by each basis that there is for it.

    Parameters
    ----------
    engine : Engine
        Holds `map.answer_stages`, `statistics.text_scores`, `map.stage_bases`, `map.frustrations` and
        `config.surveys`.
    config : Config
        Not read.
    """
    del config
    answers, behaviour = engine.rows(_ANSWERS), engine.rows(_BEHAVIOUR)
    parts = [_of_answers(answers), _of_behaviour(behaviour)]
    engine.register("statistics.stage_sentiment", pa.concat_tables(parts))


def _of_answers(answers: pa.Table) -> pa.Table:
    names = ("answer_count", "total", "total_of_squares")
    counts, totals, squares = (answers.column(name).to_numpy() for name in names)
    return _table(answers, *mean_interval(counts, totals, squares))


def _of_behaviour(behaviour: pa.Table) -> pa.Table:
    """Turn the share of frustrated visitors round: 0 is nobody, -1 everybody."""
    frustrated, visitors = (behaviour.column(name).to_numpy() for name in ("frustrated_count", "answer_count"))
    low, high = wilson_interval(frustrated, visitors)
    # 0 minus the share: a share of 0 is no -0.0.
    return _table(behaviour, 0.0 - frustrated / visitors, 0.0 - high, 0.0 - low)


def _table(rows: pa.Table, sentiment: Numbers, low: Numbers, high: Numbers) -> pa.Table:
    figures = {"sentiment": sentiment, "sentiment_low": low, "sentiment_high": high}
    columns = {name: rows.column(name) for name in _KEYS}
    columns |= {name: pa.array(values, pa.float64(), from_pandas=True) for name, values in figures.items()}
    return pa.table(columns)
