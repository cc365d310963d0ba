-- Outcomes of the journeys that met an exposure in a stage.
-- Grain: model_index, persona, period, stage_index, exposure_ix.
with journey_facts as (
    select person_key, journey_index, persona
    from journeys.journey_facts
),

-- A few thousand rows; everything below is cheap however many journeys there are.
interactions_grouped as (
    select
        stage_interactions.model_index,
        journey_facts.persona,
        map_journeys.month,
        map_journeys.is_furthest,
        stage_interactions.stage_index,
        stage_interactions.exposure_ix,
        map_journeys.is_matured,
        map_journeys.depth > stage_interactions.stage_index as is_gone_on,
        count(*) as person_count,
        sum(stage_interactions.touch_count) as touch_count
    from kernel.stage_interactions
    inner join kernel.map_journeys
        on map_journeys.model_index = stage_interactions.model_index
        and map_journeys.person_key = stage_interactions.person_key
        and map_journeys.journey_index = stage_interactions.journey_index
    inner join journey_facts
        on journey_facts.person_key = map_journeys.person_key
        and journey_facts.journey_index = map_journeys.journey_index
    group by
        stage_interactions.model_index, journey_facts.persona, map_journeys.month, map_journeys.is_furthest,
        stage_interactions.stage_index, stage_interactions.exposure_ix, map_journeys.is_matured, is_gone_on
),

personas_listed as (
    select
        model_index, persona, month, is_furthest, stage_index, exposure_ix, is_matured, is_gone_on, person_count,
        touch_count
    from interactions_grouped

    union all

    select
        model_index, 'all' as persona, month, is_furthest, stage_index, exposure_ix, is_matured, is_gone_on,
        person_count, touch_count
    from interactions_grouped
),

-- The whole time counts a person once, at the furthest journey of all; a month at the furthest one begun in it.
periods_listed as (
    select
        model_index, persona, 'all' as period, stage_index, exposure_ix,
        is_matured, is_gone_on, person_count, touch_count
    from personas_listed
    where is_furthest

    union all

    select
        model_index, persona, month as period, stage_index, exposure_ix,
        is_matured, is_gone_on, person_count, touch_count
    from personas_listed
)

select
    model_index,
    persona,
    period,
    stage_index,
    exposure_ix,
    cast(sum(person_count) as bigint) as person_count,
    cast(sum(touch_count) as bigint) as touch_count,
    cast(coalesce(sum(person_count) filter (where is_matured), 0) as bigint) as matured_count,
    cast(coalesce(sum(person_count) filter (where is_matured and is_gone_on), 0) as bigint) as matured_advanced_count
from periods_listed
group by model_index, persona, period, stage_index, exposure_ix
