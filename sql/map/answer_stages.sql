-- Every answer that has a stage, its own or that of what it follows, by model: its sentiment where scored, and the key of its text.
-- Grain: model_index, event_ix, survey_index.
with months_bounded as (
    select month, min(start_at) as start_at, max(end_at) as end_at
    from config.days
    group by month
),

-- How high on the scale, from 0 to 1, with the good end up.
scores_placed as (
    select
        answers.event_ix,
        answers.survey_index,
        answers.person_key,
        answers.journey_index,
        answers.classification_key,
        answers.answered_at,
        answers.text_key,
        surveys.kind,
        case when surveys.is_low_good then surveys.most - answers.score else answers.score - surveys.least end as height,
        surveys.most - surveys.least as reach
    from map.survey_answers as answers
    inner join config.surveys on surveys.survey_index = answers.survey_index
),

sentiments_taken as (
    select
        event_ix,
        survey_index,
        person_key,
        journey_index,
        classification_key,
        answered_at,
        text_key,
        cast(
            case
                when kind <> 'nps' then 2 * height / reach - 1
                -- On the scale of 0 to 10 promoters give 9 and more, detractors less than 7.
                when height * 10 >= 9 * reach then 1
                when height * 10 >= 7 * reach then 0
                -- A null score has no basis.
                when height is not null then -1
            end as decimal(9, 6)
        ) as sentiment
    from scores_placed
),

-- An answer whose event is in no stage is about what it follows: the journey's last visit that began before it.
answers_unstaged as (
    select
        sentiments_taken.event_ix,
        sentiments_taken.survey_index,
        sentiments_taken.person_key,
        sentiments_taken.journey_index,
        sentiments_taken.answered_at,
        models.model_index
    from sentiments_taken
    cross join config.models
    left join kernel.classifications
        on classifications.classification_key = sentiments_taken.classification_key
        and classifications.model_index = models.model_index
    where coalesce(classifications.stage_index, 0) = 0
),

stages_placed as (
    select
        sentiments_taken.event_ix,
        sentiments_taken.survey_index,
        classifications.model_index,
        classifications.stage_index
    from sentiments_taken
    inner join kernel.classifications
        on classifications.classification_key = sentiments_taken.classification_key
        and classifications.stage_index > 0

    union all

    select
        answers_unstaged.event_ix,
        answers_unstaged.survey_index,
        answers_unstaged.model_index,
        max_by(visits.stage_index, visits.visit_index) as stage_index
    from answers_unstaged
    inner join kernel.stage_visits as visits
        on visits.model_index = answers_unstaged.model_index
        and visits.person_key = answers_unstaged.person_key
        and visits.journey_index = answers_unstaged.journey_index
        and visits.entered_at <= answers_unstaged.answered_at
    group by answers_unstaged.event_ix, answers_unstaged.survey_index, answers_unstaged.model_index
)

select
    stages_placed.model_index,
    sentiments_taken.event_ix,
    sentiments_taken.survey_index,
    stages_placed.stage_index,
    coalesce(facts.persona, 'unassigned') as persona,
    months_bounded.month as period,
    sentiments_taken.sentiment,
    sentiments_taken.text_key
from sentiments_taken
inner join stages_placed
    on stages_placed.event_ix = sentiments_taken.event_ix
    and stages_placed.survey_index = sentiments_taken.survey_index
inner join months_bounded
    on sentiments_taken.answered_at >= months_bounded.start_at
    and sentiments_taken.answered_at < months_bounded.end_at
left join journeys.journey_facts as facts
    on facts.person_key = sentiments_taken.person_key
    and facts.journey_index = sentiments_taken.journey_index
