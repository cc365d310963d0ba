-- When each unit first got to each step, by which attempt, when it no longer was there, and whether it got to the last one in time.
-- Grain: funnel_index, unit_key, step_index.
with history as (
    select min(entered_at) as entered_at
    from kernel.journeys
),

-- Where the window is longer than the history, nothing is over and no earlier moment is looked at.
funnels_past as (
    select funnels.funnel_index, funnels.count_mode, funnels.step_count, funnels.window_us
    from config.funnels
    cross join config.settings
    cross join history
    where date_diff('microsecond', history.entered_at, settings.high_water_at) >= funnels.window_us
),

attempts_gathered as (
    select days.funnel_index, days.unit_key, days.entry_day, days.person_key, days.journey_index, days.entered_at, days.closes_at
    from kernel.funnel_days as days
    inner join funnels_past as funnels
        on funnels.funnel_index = days.funnel_index and funnels.count_mode = 'best'

    union all

    -- Where every attempt counts, each is a unit of its own.
    select
        units.funnel_index, cast(units.attempt_ix as ubigint) as unit_key, units.entry_day, units.person_key,
        units.journey_index, units.entered_at, units.closes_at
    from kernel.funnel_units as units
    inner join funnels_past as funnels
        on funnels.funnel_index = units.funnel_index and funnels.count_mode = 'attempts'
),

steps_gathered as (
    select funnel_index, unit_key, entry_day, 1 as step_index, entered_at as reached_at
    from attempts_gathered

    union all

    select steps.funnel_index, steps.unit_key, steps.entry_day, steps.step_index, steps.reached_at
    from kernel.funnel_day_steps as steps
    inner join funnels_past as funnels
        on funnels.funnel_index = steps.funnel_index and funnels.count_mode = 'best'

    union all

    select
        reaches.funnel_index, cast(reaches.attempt_ix as ubigint) as unit_key, units.entry_day, reaches.step_index,
        reaches.reached_at
    from kernel.funnel_reaches as reaches
    inner join kernel.funnel_units as units
        on units.funnel_index = reaches.funnel_index and units.attempt_ix = reaches.attempt_ix
    inner join funnels_past as funnels
        on funnels.funnel_index = reaches.funnel_index and funnels.count_mode = 'attempts'
    where reaches.step_index > 1
),

-- Of attempts that got equally far the earliest counts, at any moment.
records_found as (
    select funnel_index, unit_key, step_index, min(entry_day) as entry_day, min(reached_at) as reached_at
    from steps_gathered
    group by funnel_index, unit_key, step_index
),

following_found as (
    select
        records.funnel_index, records.unit_key, records.step_index, records.entry_day, records.reached_at,
        lead(records.reached_at) over (
            partition by records.funnel_index, records.unit_key order by records.step_index
        ) as next_at,
        last_value(case when records.step_index = funnels.step_count then records.reached_at end) over (
            partition by records.funnel_index, records.unit_key order by records.step_index
            rows between unbounded preceding and unbounded following
        ) as converted_at,
        funnels.step_count,
        funnels.window_us
    from records_found as records
    inner join funnels_past as funnels on funnels.funnel_index = records.funnel_index
)

select
    records.funnel_index,
    records.unit_key,
    records.step_index,
    attempts.person_key,
    attempts.journey_index,
    attempts.entered_at,
    records.reached_at,
    least(attempts.closes_at, coalesce(records.next_at, attempts.closes_at)) as left_at,
    coalesce(
        date_diff('microsecond', attempts.entered_at, records.converted_at) <= records.window_us, false
    ) as is_converted
from following_found as records
inner join attempts_gathered as attempts
    on attempts.funnel_index = records.funnel_index
    and attempts.unit_key = records.unit_key
    and attempts.entry_day = records.entry_day
where records.step_index < records.step_count
