-- The current stage of each person's latest journey.
-- Grain: model, person_id.
with latest_journeys as (
    select person_key, journey_index, entered_at, last_event_at, is_open, lifecycle, persona
    from journeys.latest_journeys
),

stages as (
    select model_index, stage_index, stage
    from config.stages
),

stages_reached as (
    select
        visits.model_index,
        visits.person_key,
        -- The stage of the last visit: a model has 63 stages at most.
        cast(max(cast(visits.visit_index as bigint) * 64 + visits.stage_index) % 64 as integer) as stage_index,
        max(visits.stage_index) as furthest_index
    from kernel.stage_visits as visits
    inner join latest_journeys
        on latest_journeys.person_key = visits.person_key
        and latest_journeys.journey_index = visits.journey_index
    group by visits.model_index, visits.person_key
)

select
    models.model,
    persons.person_id,
    latest_journeys.persona,
    latest_journeys.journey_index,
    coalesce(stages.stage, 'unclassified') as stage,
    coalesce(furthest_stages.stage, 'unclassified') as furthest_stage,
    latest_journeys.entered_at,
    latest_journeys.last_event_at,
    latest_journeys.is_open,
    latest_journeys.lifecycle
from latest_journeys
inner join identity.persons on persons.person_key = latest_journeys.person_key
cross join config.models
left join stages_reached
    on stages_reached.model_index = models.model_index
    and stages_reached.person_key = latest_journeys.person_key
left join stages
    on stages.model_index = stages_reached.model_index
    and stages.stage_index = stages_reached.stage_index
left join stages as furthest_stages
    on furthest_stages.model_index = stages_reached.model_index
    and furthest_stages.stage_index = stages_reached.furthest_index
