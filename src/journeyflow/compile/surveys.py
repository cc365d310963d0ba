"""Compile `journeys.survey_answers` from the configured surveys."""

from __future__ import annotations

import re

from sqlglot import exp

from journeyflow.compile.conditions import NUMBER, column, sql, text
from journeyflow.compile.staging_events import event_value
from journeyflow.config.config import Config

MOST_CHARACTERS = 2000
"""What is read of a text; the rest of a longer one is cut off."""

_SELECT = """
    with answers_read as (
        select event_ix, occurred_at, event_name, properties
        from sources.events
        where event_name in (@events)
    ),

    answers_told as (
        select
            answers_read.event_ix,
            surveys.survey,
            surveys.survey_index,
            answers_read.occurred_at as answered_at,
            cast(try_cast(@score as @number) as double) as told_score,
            surveys.least,
            surveys.most,
            nullif(substr(trim(@text), 1, @length), '') as answer_text
        from answers_read
        inner join config.surveys on surveys.event = answers_read.event_name
    )

    select
        answers_told.event_ix,
        answers_told.survey,
        answers_told.survey_index,
        events.person_key,
        events.journey_index,
        events.label_key,
        answers_told.answered_at,
        case
            when answers_told.told_score between answers_told.least and answers_told.most then answers_told.told_score
        end as score,
        answers_told.answer_text is not null as has_text,
        md5_number_lower(answers_told.answer_text) as text_key,
        answers_told.answer_text
    from answers_told
    inner join kernel.events on events.event_ix = answers_told.event_ix
"""


def survey_answers(config: Config) -> str:
    """Compile `journeys.survey_answers`: the score and the text of every answer of a person that counts.

    Parameters
    ----------
    config : Config

    Returns
    -------
    str
        A SELECT over `sources.events`, of which it reads the events of surveys only, `kernel.events` and
        `config.surveys`. Grain: event_ix, survey_index. No order.
    """
    surveys = tuple(config.surveys.values())
    events = dict.fromkeys(survey.event for survey in surveys)
    parts = {
        # With no survey there is no answer: no event has no name.
        "@events": ", ".join(sql(text(event)) for event in events) or "null",
        "@score": _by_survey([survey.score for survey in surveys]),
        "@text": _by_survey([survey.text for survey in surveys]),
        "@number": NUMBER,
        "@length": str(MOST_CHARACTERS),
    }
    # One pass, so that no text of the configuration is taken for a mark.
    return re.sub("|".join(parts), lambda mark: parts[mark[0]], _SELECT)


def _by_survey(fields: list[str | None]) -> str:
    """Read the property that the survey of the row names; of no survey, nothing."""
    chosen = exp.Case(this=column("survey_index", "surveys"))
    for index, field in enumerate(fields, 1):
        if field is not None:
            chosen = chosen.when(exp.Literal.number(index), event_value(field))
    return sql(exp.cast(chosen if chosen.args.get("ifs") else exp.null(), "varchar"))
