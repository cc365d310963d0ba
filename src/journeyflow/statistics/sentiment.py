"""Mean sentiment of stages from survey scores, texts and behaviour."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from journeyflow.models.python_models import python_model
from journeyflow.statistics.proportions import ALPHA, Floats, Ints, wilson_interval

if TYPE_CHECKING:
    from journeyflow.engines import Engine


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
