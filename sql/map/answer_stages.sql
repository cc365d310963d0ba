-- Every answer that has a stage, by model: its sentiment where it has a score, and the key of its text.
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
)

select
    classifications.model_index,
    sentiments_taken.event_ix,
    sentiments_taken.survey_index,
    classifications.stage_index,
    coalesce(facts.persona, 'unassigned') as persona,
    months_bounded.month as period,
    sentiments_taken.sentiment,
    sentiments_taken.text_key
from sentiments_taken
inner join kernel.classifications
    on classifications.classification_key = sentiments_taken.classification_key
    and classifications.stage_index > 0
inner join months_bounded
    on sentiments_taken.answered_at >= months_bounded.start_at
    and sentiments_taken.answered_at < months_bounded.end_at
left join journeys.journey_facts as facts
    on facts.person_key = sentiments_taken.person_key
    and facts.journey_index = sentiments_taken.journey_index
