-- How many persons met what may be listed as a pain: what passed its test, and all friction.
-- Grain: model_index, persona, period, stage_index, exposure_ix, exposure.
with tests as (
    select model_index, persona, period, stage_index, exposure_ix, exposure
    from statistics.pain_tests
    where q_value <= 0.05 and excess_rate > 0
),

frictions as (
    select exposure_ix
    from map.exposures
    where exposure_kind = 'friction'
),

pains_wanted as (
    select model_index, persona, period, stage_index, exposure_ix, exposure
    from tests

    union all

    select
        stage_attempt_counts.model_index, stage_attempt_counts.persona, stage_attempt_counts.period, stage_attempt_counts.stage_index,
        stage_attempt_counts.exposure_ix, stage_attempt_counts.exposure
    from map.stage_attempt_counts
    inner join frictions on frictions.exposure_ix = stage_attempt_counts.exposure_ix
),

subjects_wanted as (
    select distinct model_index, stage_index, exposure_ix
    from pains_wanted
),

attempts_placed as (
    select
        stage_attempts.model_index,
        stage_attempts.person_key,
        journey_facts.persona,
        substr(cast(stage_attempts.month_number as varchar), 1, 4)
        || '-' || substr(cast(stage_attempts.month_number as varchar), 5, 2) as period,
        stage_attempts.stage_index,
        stage_attempts.exposure_ix,
        stage_attempts.touch_count,
        stage_attempts.longest_wait_seconds
    from kernel.stage_attempts
    inner join subjects_wanted
        on subjects_wanted.model_index = stage_attempts.model_index
        and subjects_wanted.stage_index = stage_attempts.stage_index
        and subjects_wanted.exposure_ix = stage_attempts.exposure_ix
    inner join journeys.journey_facts
        on journey_facts.person_key = stage_attempts.person_key
        and journey_facts.journey_index = stage_attempts.journey_index
)

select
    pains_wanted.model_index,
    pains_wanted.persona,
    pains_wanted.period,
    pains_wanted.stage_index,
    pains_wanted.exposure_ix,
    pains_wanted.exposure,
    count(distinct attempts_placed.person_key) as person_count,
    count(*) as pass_count
from pains_wanted
inner join attempts_placed
    on attempts_placed.model_index = pains_wanted.model_index
    and attempts_placed.stage_index = pains_wanted.stage_index
    and attempts_placed.exposure_ix = pains_wanted.exposure_ix
    and (pains_wanted.persona = 'all' or attempts_placed.persona = pains_wanted.persona)
    and (pains_wanted.period = 'all' or attempts_placed.period = pains_wanted.period)
left join map.wait_thresholds
    on wait_thresholds.model_index = pains_wanted.model_index
    and wait_thresholds.persona = attempts_placed.persona
    and wait_thresholds.stage_index = pains_wanted.stage_index
    and wait_thresholds.exposure_ix = pains_wanted.exposure_ix
where pains_wanted.exposure = 'met'
    or (pains_wanted.exposure = 'repeat' and attempts_placed.touch_count >= 3)
    or (pains_wanted.exposure = 'wait' and attempts_placed.longest_wait_seconds > wait_thresholds.long_wait_seconds)
group by
    pains_wanted.model_index, pains_wanted.persona, pains_wanted.period, pains_wanted.stage_index,
    pains_wanted.exposure_ix, pains_wanted.exposure
