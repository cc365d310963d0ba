-- What people meet at each stage, and whether those who met it went on more often.
-- Grain: model, persona, period, stage, touchpoint.
with exposures as (
    select exposure_ix, subject as touchpoint
    from map.exposures
    where exposure_kind = 'touchpoint'
),

stages as (
    select model, model_index, stage, stage_index
    from config.stages
),

lasts_found as (
    select model_index, max(stage_index) as stage_index
    from stages
    group by model_index
),

-- Those without are the rest of the stage's visitors; a last stage has no next one.
counts_compared as (
    select
        counts.model_index,
        counts.persona,
        counts.period,
        counts.stage_index,
        counts.exposure_ix,
        exposures.touchpoint,
        counts.person_count,
        bases.visited_count,
        counts.touch_count,
        sum(counts.touch_count) over (
            partition by counts.model_index, counts.persona, counts.period, counts.stage_index
        ) as stage_touch_count,
        counts.matured_count,
        counts.matured_advanced_count,
        counts.stage_index = lasts_found.stage_index as is_last,
        bases.matured_visited_count - counts.matured_count as without_count,
        bases.matured_advanced_count - counts.matured_advanced_count as without_went_on_count
    from map.exposure_counts as counts
    inner join exposures on exposures.exposure_ix = counts.exposure_ix
    inner join map.stage_bases as bases
        on bases.model_index = counts.model_index
        and bases.persona = counts.persona
        and bases.period = counts.period
        and bases.stage_index = counts.stage_index
    inner join lasts_found on lasts_found.model_index = counts.model_index
),

rates_taken as (
    select
        counts_compared.model_index,
        counts_compared.persona,
        counts_compared.period,
        counts_compared.stage_index,
        counts_compared.exposure_ix,
        counts_compared.touchpoint,
        counts_compared.person_count,
        counts_compared.visited_count,
        counts_compared.touch_count,
        counts_compared.stage_touch_count,
        counts_compared.matured_count,
        case when not counts_compared.is_last then counts_compared.matured_advanced_count end as matured_next_count,
        case when not counts_compared.is_last then counts_compared.without_count end as without_count,
        case when not counts_compared.is_last then counts_compared.without_went_on_count end as without_went_on_count,
        counts_compared.matured_count < settings.min_count
        or (counts_compared.without_count < settings.min_count and not counts_compared.is_last) as is_small
    from counts_compared
    cross join config.settings
)

select
    stages.model,
    rates_taken.persona,
    rates_taken.period,
    stages.stage,
    rates_taken.touchpoint,
    rates_taken.person_count,
    rates_taken.visited_count,
    cast(rates_taken.person_count as double) / nullif(rates_taken.visited_count, 0) as reach_rate,
    rates_taken.touch_count,
    cast(rates_taken.touch_count as double) / nullif(rates_taken.stage_touch_count, 0) as share_rate,
    rates_taken.matured_count,
    rates_taken.matured_next_count,
    cast(rates_taken.matured_next_count as double) / nullif(rates_taken.matured_count, 0) as next_stage_rate,
    rates_taken.without_count as matured_without_count,
    rates_taken.without_went_on_count as matured_without_next_count,
    case when not rates_taken.is_small
        then cast(rates_taken.without_went_on_count as double) / nullif(rates_taken.without_count, 0)
    end as next_stage_rate_without,
    tests.lift,
    tests.lift_low,
    tests.lift_high,
    tests.q_value,
    rates_taken.is_small
from rates_taken
inner join stages
    on stages.model_index = rates_taken.model_index
    and stages.stage_index = rates_taken.stage_index
left join statistics.touchpoint_tests as tests
    on tests.model_index = rates_taken.model_index
    and tests.persona = rates_taken.persona
    and tests.period = rates_taken.period
    and tests.stage_index = rates_taken.stage_index
    and tests.exposure_ix = rates_taken.exposure_ix
