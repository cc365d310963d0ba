-- What came of the passes through a stage, of all and of those that touched a subject, touched it again and again, or waited long after it.
-- Grain: model_index, persona, period, stage_index, subject_ix, exposure.
with stage_passes as (
    select
        model_index, person_key, journey_index, stage_index, subject_ix, month_number, is_went_on, is_matured, touch_count,
        longest_wait_seconds
    from kernel.stage_passes
),

journey_facts as (
    select person_key, journey_index, persona
    from journeys.journey_facts
),

touch_subjects as (
    select subject_ix, subject_kind = 'touchpoint' as is_touchpoint
    from journeys.touch_subjects
),

long_waits as (
    select model_index, persona, stage_index, subject_ix, long_wait_seconds
    from journeys.long_waits
),

-- A few thousand rows; everything below is cheap however many passes there are.
passes_grouped as (
    select
        stage_passes.model_index,
        journey_facts.persona,
        stage_passes.month_number,
        stage_passes.stage_index,
        stage_passes.subject_ix,
        stage_passes.is_matured,
        stage_passes.is_went_on,
        stage_passes.touch_count >= 3 as is_repeated,
        coalesce(stage_passes.longest_wait_seconds > long_waits.long_wait_seconds, false) as is_long,
        count(*) as pass_count
    from stage_passes
    inner join journey_facts
        on journey_facts.person_key = stage_passes.person_key
        and journey_facts.journey_index = stage_passes.journey_index
    left join long_waits
        on long_waits.model_index = stage_passes.model_index
        and long_waits.persona = journey_facts.persona
        and long_waits.stage_index = stage_passes.stage_index
        and long_waits.subject_ix = stage_passes.subject_ix
    group by
        stage_passes.model_index, journey_facts.persona, stage_passes.month_number, stage_passes.stage_index,
        stage_passes.subject_ix, stage_passes.is_matured, stage_passes.is_went_on, is_repeated, is_long
),

exposures_listed as (
    select
        model_index, persona, month_number, stage_index, subject_ix, 'met' as exposure, is_matured, is_went_on,
        pass_count
    from passes_grouped

    union all

    select
        passes_grouped.model_index, passes_grouped.persona, passes_grouped.month_number,
        passes_grouped.stage_index, passes_grouped.subject_ix, 'repeat' as exposure, passes_grouped.is_matured,
        passes_grouped.is_went_on, passes_grouped.pass_count
    from passes_grouped
    inner join touch_subjects on touch_subjects.subject_ix = passes_grouped.subject_ix
    where passes_grouped.is_repeated and touch_subjects.is_touchpoint

    union all

    select
        model_index, persona, month_number, stage_index, subject_ix, 'wait' as exposure, is_matured, is_went_on,
        pass_count
    from passes_grouped
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
    subject_ix,
    exposure,
    cast(sum(pass_count) as bigint) as pass_count,
    cast(coalesce(sum(pass_count) filter (where is_matured), 0) as bigint) as matured_count,
    cast(coalesce(sum(pass_count) filter (where is_matured and is_went_on), 0) as bigint) as matured_went_on_count
from exposures_listed
group by grouping sets (
    (model_index, stage_index, subject_ix, exposure, persona, month_number),
    (model_index, stage_index, subject_ix, exposure, persona),
    (model_index, stage_index, subject_ix, exposure, month_number),
    (model_index, stage_index, subject_ix, exposure)
)
