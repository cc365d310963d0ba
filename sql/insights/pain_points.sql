-- Where people are lost, loop, wait or fail beyond what would be expected of them, the costliest first.
-- Grain: model, persona, period, pain_rank.
with tests as (
    select
        model_index, persona, period, stage_index, exposure_ix, exposure, compared_with, pass_count, matured_count,
        drop_off_rate, baseline_rate, excess_rate, lost, lost_low, lost_high, q_value
    from statistics.pain_tests
),

persons as (
    select model_index, persona, period, stage_index, exposure_ix, exposure, person_count, pass_count
    from insights._pain_persons
),

exposures as (
    select exposure_ix, exposure_kind, subject
    from map.exposures
),

stages as (
    select model, model_index, stage, stage_index
    from config.stages
),

settings as (
    select min_count
    from config.settings
),

tests_passed as (
    select
        tests.model_index, tests.persona, tests.period, tests.stage_index, exposures.exposure_kind, exposures.subject,
        tests.exposure, persons.person_count, tests.pass_count, tests.compared_with, tests.matured_count, tests.drop_off_rate,
        tests.baseline_rate, tests.excess_rate, tests.lost, tests.lost_low, tests.lost_high, tests.q_value
    from tests
    inner join exposures on exposures.exposure_ix = tests.exposure_ix
    inner join persons
        on persons.model_index = tests.model_index and persons.persona = tests.persona and persons.period = tests.period
        and persons.stage_index = tests.stage_index and persons.exposure_ix = tests.exposure_ix and persons.exposure = tests.exposure
    cross join settings
    -- A few returning persons are not enough, however many their stage attempts.
    where tests.q_value <= 0.05 and tests.excess_rate > 0 and persons.person_count >= settings.min_count
),

-- Friction is pain by itself and needs no test. What enough people met in the whole time is listed in every month.
friction_listed as (
    select
        persons.model_index, persons.persona, persons.period, persons.stage_index, exposures.exposure_kind, exposures.subject,
        persons.exposure, persons.person_count, persons.pass_count, tests.compared_with, tests.matured_count,
        tests.drop_off_rate, tests.baseline_rate, tests.excess_rate, tests.lost, tests.lost_low, tests.lost_high,
        tests.q_value
    from persons
    inner join exposures on exposures.exposure_ix = persons.exposure_ix and exposures.exposure_kind = 'friction'
    cross join settings
    left join persons as whole_time
        on whole_time.model_index = persons.model_index and whole_time.persona = persons.persona and whole_time.period = 'all'
        and whole_time.stage_index = persons.stage_index and whole_time.exposure_ix = persons.exposure_ix and whole_time.exposure = persons.exposure
    left join tests
        on tests.model_index = persons.model_index and tests.persona = persons.persona and tests.period = persons.period
        and tests.stage_index = persons.stage_index and tests.exposure_ix = persons.exposure_ix and tests.exposure = persons.exposure
        and persons.person_count >= settings.min_count
    where persons.person_count >= settings.min_count or whole_time.person_count >= settings.min_count
),

pains_listed as (
    select
        model_index, persona, period, stage_index, exposure_kind, subject, exposure, person_count, pass_count,
        compared_with, matured_count, drop_off_rate, baseline_rate, excess_rate, lost, lost_low, lost_high, q_value
    from tests_passed

    union all

    select
        model_index, persona, period, stage_index, exposure_kind, subject, exposure, person_count, pass_count,
        compared_with, matured_count, drop_off_rate, baseline_rate, excess_rate, lost, lost_low, lost_high, q_value
    from friction_listed
),

pains_named as (
    select
        pains_listed.model_index, stages.model, pains_listed.persona, pains_listed.period,
        pains_listed.stage_index, stages.stage,
        case
            when pains_listed.exposure_kind = 'return' then 'back to ' || earlier_stages.stage
            else pains_listed.subject
        end as pain_point,
        case
            when pains_listed.exposure_kind in ('return', 'friction') then pains_listed.exposure_kind
            when pains_listed.exposure = 'met' then 'drop_off'
            else pains_listed.exposure
        end as kind,
        pains_listed.person_count, pains_listed.pass_count, pains_listed.matured_count, pains_listed.compared_with,
        pains_listed.drop_off_rate, pains_listed.baseline_rate, pains_listed.excess_rate,
        -- A negative number of persons cannot have been lost.
        case when pains_listed.lost is not null then greatest(pains_listed.lost, 0) end as lost_floored,
        case when pains_listed.lost is not null then greatest(pains_listed.lost_low, 0) end as lost_low_floored,
        case when pains_listed.lost is not null then greatest(pains_listed.lost_high, 0) end as lost_high_floored,
        pains_listed.q_value
    from pains_listed
    inner join stages
        on stages.model_index = pains_listed.model_index
        and stages.stage_index = pains_listed.stage_index
    left join stages as earlier_stages
        on earlier_stages.model_index = pains_listed.model_index
        and pains_listed.exposure_kind = 'return'
        and cast(earlier_stages.stage_index as varchar) = pains_listed.subject
),

-- A handful says nothing of whether it comes back.
spread_counted as (
    select
        model_index,
        stage_index,
        kind,
        pain_point,
        count(distinct case when persona <> 'all' then persona end) as persona_count,
        count(distinct case when period <> 'all' then period end) as month_count
    from pains_named
    cross join settings
    where pains_named.person_count >= settings.min_count
    group by model_index, stage_index, kind, pain_point
)

select
    pains_named.model, pains_named.persona, pains_named.period,
    row_number() over (
        partition by pains_named.model_index, pains_named.persona, pains_named.period
        order by pains_named.lost_floored desc nulls last, pains_named.stage_index, pains_named.pain_point, pains_named.kind
    ) as pain_rank,
    pains_named.stage, pains_named.pain_point, pains_named.kind,
    case when spread_counted.persona_count > 1 or spread_counted.month_count > 1 then 'recurring' else 'specific' end as scope,
    pains_named.person_count, pains_named.pass_count, pains_named.matured_count, pains_named.compared_with,
    pains_named.drop_off_rate, pains_named.baseline_rate, pains_named.excess_rate,
    cast(round(pains_named.lost_floored) as bigint) as lost_count,
    cast(round(pains_named.lost_low_floored) as bigint) as lost_low,
    cast(round(pains_named.lost_high_floored) as bigint) as lost_high,
    pains_named.q_value
from pains_named
left join spread_counted
    on spread_counted.model_index = pains_named.model_index
    and spread_counted.stage_index = pains_named.stage_index
    and spread_counted.kind = pains_named.kind
    and spread_counted.pain_point = pains_named.pain_point
