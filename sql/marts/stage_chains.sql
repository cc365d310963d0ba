-- How journeys moved between stages until they reached the last one or ended, as counts of a chain.
-- Grain: model, persona, from_stage, to_stage.
with goals as (
    select model_index, max(stage_index) as goal_index
    from config.stages
    group by model_index
),

goals_reached as (
    select visits.model_index, visits.person_key, visits.journey_index, min(visits.visit_index) as goal_visit_index
    from kernel.stage_visits as visits
    inner join goals
        on goals.model_index = visits.model_index
        and goals.goal_index = visits.stage_index
    group by visits.model_index, visits.person_key, visits.journey_index
),

-- What follows the first visit to the last stage is not followed.
visits_known as (
    select
        visits.model_index,
        facts.persona,
        facts.is_open,
        visits.visit_index,
        visits.stage_index,
        visits.next_stage_index,
        reached.goal_visit_index
    from kernel.stage_visits as visits
    inner join journeys.journey_facts as facts
        on facts.person_key = visits.person_key
        and facts.journey_index = visits.journey_index
    left join goals_reached as reached
        on reached.model_index = visits.model_index
        and reached.person_key = visits.person_key
        and reached.journey_index = visits.journey_index
),

-- Index 0 is where a journey begins or ends, -1 that it is still open.
moves_listed as (
    select
        model_index, persona, 0 as from_index,
        case when is_open then -1 else stage_index end as to_index
    from visits_known
    where visit_index = 1

    union all

    select
        model_index, persona, stage_index as from_index,
        coalesce(next_stage_index, 0) as to_index
    from visits_known
    where not is_open and visit_index < coalesce(goal_visit_index, visit_index + 1)
),

moves_counted as (
    select model_index, coalesce(persona, 'all') as persona, from_index, to_index, count(*) as journey_count
    from moves_listed
    group by grouping sets (
        (model_index, from_index, to_index, persona),
        (model_index, from_index, to_index)
    )
)

select
    models.model,
    counted.persona,
    coalesce(begun.stage, 'entry') as from_stage,
    case counted.to_index when 0 then 'exit' when -1 then 'open' else reached.stage end as to_stage,
    counted.from_index,
    counted.to_index,
    counted.journey_count
from moves_counted as counted
inner join config.models as models on models.model_index = counted.model_index
left join config.stages as begun
    on begun.model_index = counted.model_index
    and begun.stage_index = counted.from_index
left join config.stages as reached
    on reached.model_index = counted.model_index
    and reached.stage_index = counted.to_index
