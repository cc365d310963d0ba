-- In how many journeys each persona shows each stage, those without any included.
-- Grain: model_index, persona, stage_index.
with visits as (
    select model_index, person_key, journey_index, stage_index
    from kernel.stage_visits
),

journey_facts as (
    select person_key, journey_index, persona
    from journeys.journey_facts
),

stages as (
    select model_index, stage_index
    from config.stages
),

personas_counted as (
    select persona, count(*) as journey_count
    from journey_facts
    group by persona
),

-- A stage that a journey returns to is shown once.
shows_found as (
    select model_index, person_key, journey_index, stage_index
    from visits
    group by model_index, person_key, journey_index, stage_index
),

shows_counted as (
    select shows_found.model_index, shows_found.stage_index, journey_facts.persona, count(*) as show_count
    from shows_found
    inner join journey_facts
        on journey_facts.person_key = shows_found.person_key
        and journey_facts.journey_index = shows_found.journey_index
    group by shows_found.model_index, shows_found.stage_index, journey_facts.persona
)

select
    stages.model_index,
    personas_counted.persona,
    stages.stage_index,
    personas_counted.journey_count,
    coalesce(shows_counted.show_count, 0) as show_count
from stages
cross join personas_counted
left join shows_counted
    on shows_counted.model_index = stages.model_index
    and shows_counted.stage_index = stages.stage_index
    and shows_counted.persona = personas_counted.persona
