-- What going on from a stage brought: the mean value of the journeys that did, less that of those that did not.
-- Grain: model_index, persona, period, stage_index.
with journeys as (
    select model_index, person_key, journey_index, month, depth, is_matured, is_furthest, is_furthest_in_month
    from kernel.map_journeys
),

last_stages as (
    select model_index, max(stage_index) as stage_index
    from config.stages
    group by model_index
),

-- Only journeys that brought something: the others add nothing to a sum. A visited stage always has an interaction with a channel.
visits_valued as (
    select distinct
        journeys.model_index,
        interactions.stage_index,
        journeys.person_key,
        journeys.journey_index,
        journeys.month,
        journeys.is_furthest,
        journeys.is_furthest_in_month,
        journeys.depth > interactions.stage_index as has_gone_on,
        journey_values.journey_value_amount
    from journeys.journey_values
    inner join journeys
        on journeys.person_key = journey_values.person_key
        and journeys.journey_index = journey_values.journey_index
        and journeys.is_matured
    inner join kernel.stage_interactions as interactions
        on interactions.model_index = journeys.model_index
        and interactions.person_key = journeys.person_key
        and interactions.journey_index = journeys.journey_index
    inner join map.exposures
        on exposures.exposure_ix = interactions.exposure_ix
        and exposures.exposure_kind = 'channel'
),

visits_counted as (
    select
        visits_valued.model_index,
        visits_valued.stage_index,
        coalesce(facts.persona, 'unassigned') as persona,
        periods.period,
        visits_valued.has_gone_on,
        visits_valued.journey_value_amount
    from visits_valued
    inner join (
        select month as period, month from (select distinct month from journeys) as months
        union all
        select 'all' as period, month from (select distinct month from journeys) as months
    ) as periods
        on periods.month = visits_valued.month
        and case when periods.period = 'all' then visits_valued.is_furthest else visits_valued.is_furthest_in_month end
    left join journeys.journey_facts as facts
        on facts.person_key = visits_valued.person_key
        and facts.journey_index = visits_valued.journey_index
),

amounts_added as (
    select
        model_index,
        stage_index,
        coalesce(persona, 'all') as persona,
        period,
        count(*) > count(journey_value_amount) as is_rate_missing,
        coalesce(sum(journey_value_amount) filter (where has_gone_on), 0) as went_on_amount,
        coalesce(sum(journey_value_amount) filter (where not has_gone_on), 0) as stayed_amount
    from visits_counted
    group by grouping sets ((model_index, stage_index, persona, period), (model_index, stage_index, period))
)

select
    bases.model_index,
    bases.persona,
    bases.period,
    bases.stage_index,
    -- One amount that cannot be converted makes both means unknown; so do too few journeys on either side.
    case
        when not amounts_added.is_rate_missing
            and bases.matured_advanced_count >= settings.min_count
            and bases.matured_visited_count - bases.matured_advanced_count >= settings.min_count
            then cast(amounts_added.went_on_amount as double) / bases.matured_advanced_count
                - cast(amounts_added.stayed_amount as double)
                / (bases.matured_visited_count - bases.matured_advanced_count)
    end as gain_amount
from map.stage_bases as bases
inner join last_stages
    on last_stages.model_index = bases.model_index
    and last_stages.stage_index > bases.stage_index
cross join config.settings
left join amounts_added
    on amounts_added.model_index = bases.model_index
    and amounts_added.persona = bases.persona
    and amounts_added.period = bases.period
    and amounts_added.stage_index = bases.stage_index
