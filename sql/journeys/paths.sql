-- Each journey's way through the stages of each model.
-- Grain: model_index, person_key, journey_index.
with visits as (
    select model_index, person_key, journey_index, visit_index, stage_index
    from kernel.stage_visits
),

stages as (
    select model_index, stage_index, stage
    from config.stages
),

personas as (
    select person_key, journey_index, persona
    from journeys.personas
),

goal_journeys as (
    select person_key, journey_index
    from journeys.goal_journeys
),

-- A longer path is cut; what follows its twentieth visit is in `stage_transitions`.
paths_spelt as (
    select
        visits.model_index,
        visits.person_key,
        visits.journey_index,
        string_agg(stages.stage, ' > ' order by visits.visit_index) as path
    from visits
    inner join stages
        on stages.model_index = visits.model_index
        and stages.stage_index = visits.stage_index
    where visits.visit_index <= 20
    group by visits.model_index, visits.person_key, visits.journey_index
)

select
    paths_spelt.model_index,
    paths_spelt.person_key,
    paths_spelt.journey_index,
    coalesce(personas.persona, 'unassigned') as persona,
    paths_spelt.path,
    goal_journeys.person_key is not null as is_converted
from paths_spelt
left join personas
    on personas.person_key = paths_spelt.person_key
    and personas.journey_index = paths_spelt.journey_index
left join goal_journeys
    on goal_journeys.person_key = paths_spelt.person_key
    and goal_journeys.journey_index = paths_spelt.journey_index
