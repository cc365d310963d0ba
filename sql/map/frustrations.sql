-- How many visitors of a stage met a failure there, or clicked in rage.
-- Grain: model_index, persona, period, stage_index.
with interactions as (
    select model_index, person_key, journey_index, stage_index, exposure_ix
    from kernel.stage_interactions
),

exposures as (
    select exposure_ix, exposure_kind
    from map.exposures
),

failures_met as (
    select interactions.model_index, interactions.person_key, interactions.journey_index, interactions.stage_index
    from interactions
    inner join exposures
        on exposures.exposure_ix = interactions.exposure_ix
        and exposures.exposure_kind in ('signal', 'friction')
),

signs_gathered as (
    select model_index, person_key, journey_index, stage_index
    from failures_met
    union
    select model_index, person_key, journey_index, stage_index
    from map.rage_click_exposures
),

-- Only who visited the stage is counted: a visited stage always has an interaction with a channel.
visitors_found as (
    select distinct
        signs_gathered.model_index,
        signs_gathered.person_key,
        signs_gathered.journey_index,
        signs_gathered.stage_index
    from signs_gathered
    inner join interactions
        on interactions.model_index = signs_gathered.model_index
        and interactions.person_key = signs_gathered.person_key
        and interactions.journey_index = signs_gathered.journey_index
        and interactions.stage_index = signs_gathered.stage_index
    inner join exposures
        on exposures.exposure_ix = interactions.exposure_ix
        and exposures.exposure_kind = 'channel'
),

visitors_described as (
    select
        visitors_found.model_index,
        visitors_found.stage_index,
        coalesce(facts.persona, 'unassigned') as persona,
        journeys.month,
        journeys.is_furthest,
        journeys.is_furthest_in_month
    from visitors_found
    inner join kernel.map_journeys as journeys
        on journeys.model_index = visitors_found.model_index
        and journeys.person_key = visitors_found.person_key
        and journeys.journey_index = visitors_found.journey_index
    left join journeys.journey_facts as facts
        on facts.person_key = visitors_found.person_key
        and facts.journey_index = visitors_found.journey_index
)

select
    model_index,
    coalesce(persona, 'all') as persona,
    coalesce(month, 'all') as period,
    stage_index,
    case when month is null then count(*) filter (where is_furthest) else count(*) filter (where is_furthest_in_month) end
        as frustrated_count
from visitors_described
group by grouping sets (
    (model_index, stage_index, persona, month),
    (model_index, stage_index, persona),
    (model_index, stage_index, month),
    (model_index, stage_index)
)
