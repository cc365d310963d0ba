-- Every stage visit with the stage that followed it, or how the journey ended there.
-- Grain: model_index, person_key, journey_index, visit_index.
with visits as (
    select model_index, person_key, journey_index, visit_index, stage_index, entered_at, left_at, last_seen_at
    from kernel.stage_visits
),

journeys as (
    select person_key, journey_index, last_event_at
    from kernel.journeys
),

personas as (
    select person_key, journey_index, persona
    from journeys.personas
),

settings as (
    select high_water_at, journeys_timeout_seconds
    from config.settings
)

select
    visits.model_index,
    visits.person_key,
    visits.journey_index,
    visits.visit_index,
    coalesce(personas.persona, 'unassigned') as persona,
    visits.stage_index,
    followers.stage_index as next_stage_index,
    followers.stage_index is null
        and date_diff('microsecond', journeys.last_event_at, settings.high_water_at)
        <= settings.journeys_timeout_seconds * 1000000 as is_open,
    cast(date_diff('microsecond', visits.entered_at, coalesce(visits.left_at, visits.last_seen_at)) as double) / 1000000
        as stay_seconds
from visits
inner join journeys
    on journeys.person_key = visits.person_key
    and journeys.journey_index = visits.journey_index
cross join settings
left join personas
    on personas.person_key = visits.person_key
    and personas.journey_index = visits.journey_index
left join visits as followers
    on followers.model_index = visits.model_index
    and followers.person_key = visits.person_key
    and followers.journey_index = visits.journey_index
    and followers.visit_index = visits.visit_index + 1
