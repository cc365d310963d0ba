-- How long the longest tenth of the waits at a touchpoint were, where enough stage attempts waited.
-- Grain: model_index, persona, stage_index, exposure_ix.
with stage_attempts as (
    select model_index, person_key, journey_index, stage_index, exposure_ix, longest_wait_seconds
    from kernel.stage_attempts
    where longest_wait_seconds is not null
),

waits_measured as (
    select
        stage_attempts.model_index,
        journey_facts.persona,
        stage_attempts.stage_index,
        stage_attempts.exposure_ix,
        count(*) as waited_count,
        -- Rounded to the microsecond: between equal values interpolation may miss them by the last digit.
        round(quantile_cont(stage_attempts.longest_wait_seconds, 0.9), 6) as long_wait_seconds
    from stage_attempts
    inner join journeys.journey_facts
        on journey_facts.person_key = stage_attempts.person_key
        and journey_facts.journey_index = stage_attempts.journey_index
    group by
        stage_attempts.model_index, journey_facts.persona, stage_attempts.stage_index, stage_attempts.exposure_ix
)

select
    waits_measured.model_index,
    waits_measured.persona,
    waits_measured.stage_index,
    waits_measured.exposure_ix,
    waits_measured.waited_count,
    waits_measured.long_wait_seconds
from waits_measured
cross join config.settings
where waits_measured.waited_count >= settings.min_count
