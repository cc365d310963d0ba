-- Units that entered each funnel in each month by slice and by the step that they reached; each unit once a month.
-- Grain: funnel_index, period, age_us, span_us, dimension, slice, depth.
-- The best attempt of a unit is known only later: it would take from earlier months those who came back and went on.
with first_days as (
    select funnel_index, unit_key, substr(cast(entry_day as varchar), 1, 7) as period, min(entry_day) as entry_day
    from kernel.funnel_days
    group by funnel_index, unit_key, substr(cast(entry_day as varchar), 1, 7)
),

entries as (
    select
        days.funnel_index, days.unit_key, days.person_key, days.journey_index, days.entered_at, days.entry_day,
        days.depth, days.is_matured, first_days.period
    from first_days
    inner join kernel.funnel_days as days
        on days.funnel_index = first_days.funnel_index
        and days.unit_key = first_days.unit_key
        and days.entry_day = first_days.entry_day
),

month_counts as (
    select
        entries.funnel_index,
        entries.period,
        min(funnels.window_us) as window_us,
        min(months.start_at) as start_at,
        min(date_diff('microsecond', months.start_at, settings.high_water_at)) as elapsed_us,
        2 * count(*) filter (where entries.is_matured) < count(*) as is_young
    from entries
    inner join config.funnels on funnels.funnel_index = entries.funnel_index
    inner join config.months on months.month = entries.period
    cross join config.settings
    group by entries.funnel_index, entries.period
),

-- Half of the time since a young month began, in whole days: who entered in its first half has reached that age.
month_ages as (
    select
        funnel_index, period, window_us, start_at, elapsed_us,
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
        funnel_index, period, start_at, age_us,
        age_us < window_us as is_cut,
        greatest(0, least(elapsed_us - age_us, 2764800000000)) as span_us
    from month_ages
),

readings as (
    select funnel_index, period, start_at, age_us, is_cut, span_us
    from own_readings

    union

    select
        funnel_index,
        lag(period) over (partition by funnel_index order by period) as period,
        lag(start_at) over (partition by funnel_index order by period) as start_at,
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
        and readings.period = entries.period
        and readings.is_cut
    where date_diff('microsecond', entries.entered_at, steps.reached_at) <= readings.age_us
    group by steps.funnel_index, steps.unit_key, steps.entry_day, readings.age_us
),

units_sliced as (
    select
        entries.funnel_index,
        entries.period,
        readings.age_us,
        readings.span_us,
        journey_facts.persona,
        -- A channel of this name would be taken for the total.
        case when event_types.channel = 'all' then 'channel all' else event_types.channel end as channel,
        case
            when date_diff('microsecond', readings.start_at, entries.entered_at) > readings.span_us then 0
            when readings.is_cut then 1 + cast(coalesce(steps_aged.step_count, 0) as integer)
            when entries.is_matured then entries.depth
            else 0
        end as depth
    from entries
    inner join readings
        on readings.funnel_index = entries.funnel_index
        and readings.period = entries.period
    left join steps_aged
        on steps_aged.funnel_index = entries.funnel_index
        and steps_aged.unit_key = entries.unit_key
        and steps_aged.entry_day = entries.entry_day
        and steps_aged.age_us = readings.age_us
    inner join journeys.journey_facts as journey_facts
        on journey_facts.person_key = entries.person_key
        and journey_facts.journey_index = entries.journey_index
    inner join kernel.journeys as journeys
        on journeys.person_key = entries.person_key
        and journeys.journey_index = entries.journey_index
    inner join journeys.event_types on event_types.event_type_ix = journeys.first_event_type_ix
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
