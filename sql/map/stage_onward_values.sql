-- What those bring who go on from a stage: the mean value of their journeys.
-- Grain: model_index, persona, stage_index.
with journeys_valued as (
    select
        map_journeys.model_index,
        coalesce(facts.persona, 'unassigned') as persona,
        map_journeys.depth,
        journey_values.goal_count is not null and journey_values.journey_value_amount is null as is_rate_missing,
        journey_values.journey_value_amount
    from kernel.map_journeys
    left join journeys.journey_facts as facts
        on facts.person_key = map_journeys.person_key
        and facts.journey_index = map_journeys.journey_index
    left join journeys.journey_values
        on journey_values.person_key = map_journeys.person_key
        and journey_values.journey_index = map_journeys.journey_index
    where map_journeys.is_furthest and map_journeys.is_matured
),

-- A few hundred rows; everything below is cheap however many journeys there are.
depths_added as (
    select
        model_index,
        persona,
        depth,
        count(*) as journey_count,
        count(*) filter (where is_rate_missing) as missing_count,
        sum(journey_value_amount) as value_amount
    from journeys_valued
    group by model_index, persona, depth
)

select
    depths_added.model_index,
    coalesce(depths_added.persona, 'all') as persona,
    stages.stage_index,
    -- One amount that cannot be converted makes the mean unknown; where no journey brought anything there is no value.
    case
        when sum(depths_added.missing_count) = 0
            then cast(sum(depths_added.value_amount) as double) / cast(sum(depths_added.journey_count) as double)
    end as onward_value_amount
from depths_added
inner join config.stages
    on stages.model_index = depths_added.model_index
    and stages.stage_index < depths_added.depth
group by grouping sets (
    (depths_added.model_index, depths_added.persona, stages.stage_index),
    (depths_added.model_index, stages.stage_index)
)
