-- How long the longest tenth of the waits at a touchpoint were, where enough journeys waited.
-- Grain: model_index, persona, stage_index, subject_ix.
with stage_touches as (
    select model_index, person_key, journey_index, stage_index, subject_ix, longest_wait_seconds
    from kernel.stage_touches
),

map_journeys as (
    select model_index, person_key, journey_index
    from kernel.map_journeys
    where is_furthest
),

journey_facts as (
    select person_key, journey_index, persona
    from journeys.journey_facts
),

settings as (
    select min_count
    from config.settings
),

waits_measured as (
    select
        stage_touches.model_index,
        coalesce(journey_facts.persona, 'all') as persona,
        stage_touches.stage_index,
        stage_touches.subject_ix,
        count(*) as waited_count,
        quantile_cont(stage_touches.longest_wait_seconds, 0.9) as long_wait_seconds
    from stage_touches
    inner join map_journeys
        on map_journeys.model_index = stage_touches.model_index
        and map_journeys.person_key = stage_touches.person_key
        and map_journeys.journey_index = stage_touches.journey_index
    inner join journey_facts
        on journey_facts.person_key = stage_touches.person_key
        and journey_facts.journey_index = stage_touches.journey_index
    where stage_touches.longest_wait_seconds is not null
    group by grouping sets (
        (stage_touches.model_index, stage_touches.stage_index, stage_touches.subject_ix, journey_facts.persona),
        (stage_touches.model_index, stage_touches.stage_index, stage_touches.subject_ix)
    )
)

select
    waits_measured.model_index,
    waits_measured.persona,
    waits_measured.stage_index,
    waits_measured.subject_ix,
    waits_measured.waited_count,
    waits_measured.long_wait_seconds
from waits_measured
cross join settings
where waits_measured.waited_count >= settings.min_count
