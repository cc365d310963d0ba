-- Outcomes of stage attempts: of all, and of those that met an exposure, met it repeatedly, or waited long after it.
-- Grain: model_index, persona, period, stage_index, exposure_ix, exposure.
with exposures as (
    select exposure_ix, exposure_kind = 'touchpoint' as is_touchpoint
    from map.exposures
),

-- A few thousand rows; everything below is cheap however many stage attempts there are.
attempts_grouped as (
    select
        stage_attempts.model_index,
        journey_facts.persona,
        stage_attempts.month_number,
        stage_attempts.stage_index,
        stage_attempts.exposure_ix,
        stage_attempts.is_matured,
        stage_attempts.is_advanced,
        stage_attempts.touch_count >= 3 as is_repeated,
        coalesce(stage_attempts.longest_wait_seconds > wait_thresholds.long_wait_seconds, false) as is_long,
        count(*) as pass_count
    from kernel.stage_attempts
    inner join journeys.journey_facts
        on journey_facts.person_key = stage_attempts.person_key
        and journey_facts.journey_index = stage_attempts.journey_index
    left join map.wait_thresholds
        on wait_thresholds.model_index = stage_attempts.model_index
        and wait_thresholds.persona = journey_facts.persona
        and wait_thresholds.stage_index = stage_attempts.stage_index
        and wait_thresholds.exposure_ix = stage_attempts.exposure_ix
    group by
        stage_attempts.model_index, journey_facts.persona, stage_attempts.month_number, stage_attempts.stage_index,
        stage_attempts.exposure_ix, stage_attempts.is_matured, stage_attempts.is_advanced, is_repeated, is_long
),

exposures_listed as (
    select
        model_index, persona, month_number, stage_index, exposure_ix, 'met' as exposure, is_matured, is_advanced,
        pass_count
    from attempts_grouped

    union all

    select
        attempts_grouped.model_index, attempts_grouped.persona, attempts_grouped.month_number,
        attempts_grouped.stage_index, attempts_grouped.exposure_ix, 'repeat' as exposure, attempts_grouped.is_matured,
        attempts_grouped.is_advanced, attempts_grouped.pass_count
    from attempts_grouped
    inner join exposures on exposures.exposure_ix = attempts_grouped.exposure_ix
    where attempts_grouped.is_repeated and exposures.is_touchpoint

    union all

    select
        model_index, persona, month_number, stage_index, exposure_ix, 'wait' as exposure, is_matured, is_advanced,
        pass_count
    from attempts_grouped
    where is_long
)

select
    model_index,
    coalesce(persona, 'all') as persona,
    case
        when month_number is null then 'all'
        else substr(cast(month_number as varchar), 1, 4) || '-' || substr(cast(month_number as varchar), 5, 2)
    end as period,
    stage_index,
    exposure_ix,
    exposure,
    cast(sum(pass_count) as bigint) as pass_count,
    cast(coalesce(sum(pass_count) filter (where is_matured), 0) as bigint) as matured_count,
    cast(coalesce(sum(pass_count) filter (where is_matured and is_advanced), 0) as bigint) as matured_advanced_count
from exposures_listed
group by grouping sets (
    (model_index, stage_index, exposure_ix, exposure, persona, month_number),
    (model_index, stage_index, exposure_ix, exposure, persona),
    (model_index, stage_index, exposure_ix, exposure, month_number),
    (model_index, stage_index, exposure_ix, exposure)
)
