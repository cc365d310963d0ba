-- In how many journeys each persona shows each stage, those without any included.
-- Grain: model_index, persona, stage_index.
with journey_facts as (
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

-- A few hundred rows, because a stage that a journey returns to is one bit.
bits_counted as (
    select codes.model_index, journey_facts.persona, codes.visited_bits, count(*) as journey_count
    from journeys.path_codes as codes
    inner join journey_facts
        on journey_facts.person_key = codes.person_key
        and journey_facts.journey_index = codes.journey_index
    group by codes.model_index, journey_facts.persona, codes.visited_bits
),

shows_counted as (
    select
        bits_counted.model_index,
        bits_counted.persona,
        stages.stage_index,
        cast(sum(bits_counted.journey_count) as bigint) as show_count
    from bits_counted
    inner join stages
        on stages.model_index = bits_counted.model_index
        and (bits_counted.visited_bits >> (stages.stage_index - 1)) & 1 = 1
    group by bits_counted.model_index, bits_counted.persona, stages.stage_index
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
