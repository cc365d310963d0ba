-- Units that entered each funnel in each month by slice and by the step that they reached; each unit once a month.
-- Grain: funnel_index, period, age_us, span_us, dimension, slice, depth.
-- The best attempt of a unit is known only later: it would take from earlier months those who came back and went on.
with first_days as (
    select funnel_index, unit_key, date_trunc('month', entry_day) as month_start, min(entry_day) as entry_day
    from kernel.funnel_days
    group by funnel_index, unit_key, date_trunc('month', entry_day)
),

entries as (
    select
        days.funnel_index, days.unit_key, days.person_key, days.journey_index, days.entered_at, days.entry_day,
        days.depth, days.is_matured, first_days.month_start
    from first_days
    inner join kernel.funnel_days as days
        on days.funnel_index = first_days.funnel_index
        and days.unit_key = first_days.unit_key
        and days.entry_day = first_days.entry_day
),

months_totalled as (
    select
        funnel_index, month_start, min(entered_at) as first_at, 2 * count(*) filter (where is_matured) < count(*) as is_young
    from entries
    group by funnel_index, month_start
),

month_counts as (
    select
        totals.funnel_index,
        totals.month_start,
        months.month as period,
        funnels.window_us,
        months.start_at,
        date_diff('microsecond', months.start_at, settings.high_water_at) as elapsed_us,
        lag(totals.month_start) over (partition by totals.funnel_index order by totals.month_start) as before_month_start,
        lag(months.month) over (partition by totals.funnel_index order by totals.month_start) as before_period,
        lag(months.start_at) over (partition by totals.funnel_index order by totals.month_start) as before_start_at,
        lag(totals.first_at) over (partition by totals.funnel_index order by totals.month_start) as before_first_at,
        totals.is_young
    from months_totalled as totals
    inner join config.funnels on funnels.funnel_index = totals.funnel_index
    inner join config.months on months.month = substr(cast(totals.month_start as varchar), 1, 7)
    cross join config.settings
),

-- Half of the time since a young month began, in whole days: who entered in its first half has reached that age.
month_ages as (
    select
        funnel_index, month_start, period, window_us, start_at, elapsed_us,
        before_month_start, before_period, before_start_at, before_first_at,
        case
            when is_young and elapsed_us >= 172800000000
                then least(elapsed_us // 172800000000 * 86400000000, window_us)
            else window_us
        end as age_us
    from month_counts
),

-- Who enters early in a month visits often: of the month before, only those count who entered in as many first days.
own_readings as (
    select
        funnel_index, month_start, period, start_at, age_us,
        before_month_start, before_period, before_start_at, before_first_at,
        age_us < window_us as is_cut,
        greatest(0, least(elapsed_us - age_us, 2764800000000)) as span_us
    from month_ages
),

readings as (
    select funnel_index, month_start, period, start_at, age_us, is_cut, span_us
    from own_readings

    union

    -- Where nobody entered it so early, as after a launch late in the month, its first days are those after the launch.
    select
        funnel_index, before_month_start as month_start, before_period as period,
        case
            when span_us > 0 and date_diff('microsecond', before_start_at, before_first_at) > span_us then before_first_at
            else before_start_at
        end as start_at,
        age_us, is_cut, span_us
    from own_readings
),

steps_aged as (
    select
        steps.funnel_index,
        steps.unit_key,
        steps.entry_day,
        readings.age_us,
        count(*) as step_count
    from kernel.funnel_day_steps as steps
    inner join entries
        on entries.funnel_index = steps.funnel_index
        and entries.unit_key = steps.unit_key
        and entries.entry_day = steps.entry_day
    inner join readings
        on readings.funnel_index = entries.funnel_index
        and readings.month_start = entries.month_start
        and readings.is_cut
    where date_diff('microsecond', entries.entered_at, steps.reached_at) <= readings.age_us
    group by steps.funnel_index, steps.unit_key, steps.entry_day, readings.age_us
),

units_sliced as (
    select
        entries.funnel_index,
        readings.period,
        readings.age_us,
        readings.span_us,
        origins.persona,
        origins.channel,
        case
            when date_diff('microsecond', readings.start_at, entries.entered_at) > readings.span_us then 0
            when readings.is_cut then 1 + cast(coalesce(steps_aged.step_count, 0) as integer)
            when entries.is_matured then entries.depth
            else 0
        end as depth
    from entries
    inner join readings
        on readings.funnel_index = entries.funnel_index
        and readings.month_start = entries.month_start
    left join steps_aged
        on steps_aged.funnel_index = entries.funnel_index
        and steps_aged.unit_key = entries.unit_key
        and steps_aged.entry_day = entries.entry_day
        and steps_aged.age_us = readings.age_us
    inner join analyses.journey_origins as origins
        on origins.person_key = entries.person_key
        and origins.journey_index = entries.journey_index
)

select
    funnel_index,
    period,
    age_us,
    span_us,
    case when grouping(persona) = 0 then 'persona' else 'channel' end as dimension,
    coalesce(persona, channel) as slice,
    depth,
    count(*) as unit_count
from units_sliced
group by grouping sets (
    (funnel_index, period, age_us, span_us, persona, depth),
    (funnel_index, period, age_us, span_us, channel, depth)
)
