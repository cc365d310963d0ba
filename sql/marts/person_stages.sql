-- The current stage of each person's latest journey.
-- Grain: model, person_id.
with latest_journeys as (
    select person_key, journey_index, entered_at, last_event_at, is_open, lifecycle, persona
    from journeys.latest_journeys
),

stages as (
    select model_index, stage_index, stage
    from config.stages
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
left join journeys.path_codes as codes
    on codes.model_index = models.model_index
    and codes.person_key = latest_journeys.person_key
    and codes.journey_index = latest_journeys.journey_index
left join stages
    on stages.model_index = codes.model_index
    and stages.stage_index = codes.last_stage_index
left join stages as furthest_stages
    on furthest_stages.model_index = codes.model_index
    and furthest_stages.stage_index = codes.furthest_stage_index
