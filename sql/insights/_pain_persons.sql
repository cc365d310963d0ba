-- How many persons met what may be listed as a pain: what passed its test, and all friction.
-- Grain: model_index, persona, period, stage_index, subject_ix, exposure.
with tests as (
    select model_index, persona, period, stage_index, subject_ix, exposure
    from statistics.pain_tests
    where q_value <= 0.05 and excess_rate > 0
),

pass_counts as (
    select model_index, persona, period, stage_index, subject_ix, exposure
    from journeys.pass_counts
),

frictions as (
    select subject_ix
    from journeys.touch_subjects
    where subject_kind = 'friction'
),

stage_passes as (
    select
        model_index, person_key, journey_index, stage_index, subject_ix, month_number, touch_count, longest_wait_seconds
    from kernel.stage_passes
),

journey_facts as (
    select person_key, journey_index, persona
    from journeys.journey_facts
),

long_waits as (
    select model_index, persona, stage_index, subject_ix, long_wait_seconds
    from journeys.long_waits
),

pains_wanted as (
    select model_index, persona, period, stage_index, subject_ix, exposure
    from tests

    union all

    select
        pass_counts.model_index, pass_counts.persona, pass_counts.period, pass_counts.stage_index,
        pass_counts.subject_ix, pass_counts.exposure
    from pass_counts
    inner join frictions on frictions.subject_ix = pass_counts.subject_ix
),

subjects_wanted as (
    select distinct model_index, stage_index, subject_ix
    from pains_wanted
),

passes_placed as (
    select
        stage_passes.model_index,
        stage_passes.person_key,
        journey_facts.persona,
        substr(cast(stage_passes.month_number as varchar), 1, 4)
        || '-' || substr(cast(stage_passes.month_number as varchar), 5, 2) as period,
        stage_passes.stage_index,
        stage_passes.subject_ix,
        stage_passes.touch_count,
        stage_passes.longest_wait_seconds
    from stage_passes
    inner join subjects_wanted
        on subjects_wanted.model_index = stage_passes.model_index
        and subjects_wanted.stage_index = stage_passes.stage_index
        and subjects_wanted.subject_ix = stage_passes.subject_ix
    inner join journey_facts
        on journey_facts.person_key = stage_passes.person_key
        and journey_facts.journey_index = stage_passes.journey_index
)

select
    pains_wanted.model_index,
    pains_wanted.persona,
    pains_wanted.period,
    pains_wanted.stage_index,
    pains_wanted.subject_ix,
    pains_wanted.exposure,
    count(distinct passes_placed.person_key) as person_count,
    count(*) as pass_count
from pains_wanted
inner join passes_placed
    on passes_placed.model_index = pains_wanted.model_index
    and passes_placed.stage_index = pains_wanted.stage_index
    and passes_placed.subject_ix = pains_wanted.subject_ix
    and (pains_wanted.persona = 'all' or passes_placed.persona = pains_wanted.persona)
    and (pains_wanted.period = 'all' or passes_placed.period = pains_wanted.period)
left join long_waits
    on long_waits.model_index = pains_wanted.model_index
    and long_waits.persona = passes_placed.persona
    and long_waits.stage_index = pains_wanted.stage_index
    and long_waits.subject_ix = pains_wanted.subject_ix
where pains_wanted.exposure = 'met'
    or (pains_wanted.exposure = 'repeat' and passes_placed.touch_count >= 3)
    or (pains_wanted.exposure = 'wait' and passes_placed.longest_wait_seconds > long_waits.long_wait_seconds)
group by
    pains_wanted.model_index, pains_wanted.persona, pains_wanted.period, pains_wanted.stage_index,
    pains_wanted.subject_ix, pains_wanted.exposure
