-- Every answer that has a stage, its own or that of what it follows, by model: its sentiment where scored, and the key of its text.
-- Grain: model_index, event_ix, survey_index.
-- The scores are placed on the scale, from 0 to 1, with the good end up.
with scores_placed as (
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

answering_listed as (
    select distinct model_index, person_key, journey_index
    from answers_unstaged
),

-- Visits and answers in one order, as a join of each answer with each visit would grow with the square of a journey.
moments_gathered as (
    select
        visits.model_index, visits.person_key, visits.journey_index, visits.entered_at as moment_at, visits.visit_index,
        cast(null as bigint) as event_ix, cast(null as integer) as survey_index
    from kernel.stage_visits as visits
    inner join answering_listed
        on answering_listed.model_index = visits.model_index
        and answering_listed.person_key = visits.person_key
        and answering_listed.journey_index = visits.journey_index
    union all
    select
        model_index, person_key, journey_index, answered_at as moment_at, cast(null as integer) as visit_index,
        event_ix, survey_index
    from answers_unstaged
),

visits_carried as (
    select
        model_index, person_key, journey_index, event_ix, survey_index,
        max(visit_index) over (
            partition by model_index, person_key, journey_index
            order by moment_at, event_ix nulls first, survey_index, visit_index
            rows between unbounded preceding and current row
        ) as visit_index
    from moments_gathered
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

    select carried.event_ix, carried.survey_index, carried.model_index, visits.stage_index
    from visits_carried as carried
    inner join kernel.stage_visits as visits
        on visits.model_index = carried.model_index
        and visits.person_key = carried.person_key
        and visits.journey_index = carried.journey_index
        and visits.visit_index = carried.visit_index
    where carried.event_ix is not null
)

select
    stages_placed.model_index,
    sentiments_taken.event_ix,
    sentiments_taken.survey_index,
    stages_placed.stage_index,
    coalesce(facts.persona, 'unassigned') as persona,
    months.month as period,
    sentiments_taken.sentiment,
    sentiments_taken.text_key
from sentiments_taken
inner join stages_placed
    on stages_placed.event_ix = sentiments_taken.event_ix
    and stages_placed.survey_index = sentiments_taken.survey_index
inner join config.months
    on sentiments_taken.answered_at >= months.start_at
    and sentiments_taken.answered_at < months.end_at
left join journeys.journey_facts as facts
    on facts.person_key = sentiments_taken.person_key
    and facts.journey_index = sentiments_taken.journey_index
