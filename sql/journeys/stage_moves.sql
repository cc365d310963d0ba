-- Every stage visit with the stage that followed it, or how the journey ended there.
-- Grain: model_index, person_key, journey_index, visit_index.
with visits as (
    select model_index, person_key, journey_index, visit_index, stage_index, entered_at, left_at, last_seen_at
    from kernel.stage_visits
),

journeys as (
    select person_key, journey_index, persona, is_open
    from journeys.journey_facts
),

-- Measured first, because the next step sorts every visit there is and should carry little.
stays_measured as (
    select
        model_index,
        person_key,
        journey_index,
        visit_index,
        stage_index,
        date_diff('microsecond', entered_at, coalesce(left_at, last_seen_at)) as stay_us
    from visits
),

visits_followed as (
    select
        model_index,
        person_key,
        journey_index,
        visit_index,
        stage_index,
        stay_us,
        lead(stage_index) over (
            partition by model_index, person_key, journey_index
            order by visit_index
        ) as next_stage_index
    from stays_measured
)

select
    visits_followed.model_index,
    visits_followed.person_key,
    visits_followed.journey_index,
    visits_followed.visit_index,
    journeys.persona,
    visits_followed.stage_index,
    visits_followed.next_stage_index,
    visits_followed.next_stage_index is null and journeys.is_open as is_open,
    cast(visits_followed.stay_us as double) / 1000000 as stay_seconds
from visits_followed
inner join journeys
    on journeys.person_key = visits_followed.person_key
    and journeys.journey_index = visits_followed.journey_index
