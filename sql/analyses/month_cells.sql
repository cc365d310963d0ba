-- Units that entered each funnel in each month by slice and by the step that they reached; each unit once a month.
-- Grain: funnel_index, period, age_us, span_us, dimension, slice, depth.
with days_dated as (
    select
        funnel_index,
        unit_key,
        person_key,
        journey_index,
        entered_at,
        entry_day,
        substr(cast(entry_day as varchar), 1, 7) as period,
        depth,
        is_matured
    from kernel.funnel_days
),

-- The best attempt of a unit is known only later: it would take from earlier months those who came back and went on.
first_days as (
    select funnel_index, unit_key, period, min(entry_day) as entry_day
    from days_dated
    group by funnel_index, unit_key, period
),

entries as (
    select days.*
    from first_days
    inner join days_dated as days
        on days.funnel_index = first_days.funnel_index
        and days.unit_key = first_days.unit_key
        and days.entry_day = first_days.entry_day
),

-- Half of the time since a month began, in whole days: who entered in its first half has reached that age.
months_begun as (
    select
        funnels.funnel_index,
        funnels.window_us,
        months.month as period,
        months.start_at,
        date_diff('microsecond', months.start_at, settings.high_water_at) as elapsed_us
    from config.funnels
    cross join config.months
    cross join config.settings
),

-- A month most of whose units are pending is read at that age in place of the window.
month_ages as (
    select
        entries.funnel_index,
        entries.period,
        case
            when 2 * count(*) filter (where entries.is_matured) < count(*) and min(begun.elapsed_us) >= 172800000000
                then least(min(begun.elapsed_us) // 172800000000 * 86400000000, min(begun.window_us))
            else min(begun.window_us)
        end as age_us,
        min(begun.elapsed_us) as elapsed_us,
        min(begun.window_us) as window_us
    from entries
    inner join months_begun as begun
        on begun.funnel_index = entries.funnel_index
        and begun.period = entries.period
    group by entries.funnel_index, entries.period
),

-- Who entered early in a month visits often: of the month before, only those count who entered in as many first days.
months_cut as (
    select
        funnel_index,
        period,
        age_us,
        greatest(0, least(elapsed_us - age_us, 2764800000000)) as span_us,
        age_us < window_us as is_cut
    from month_ages
),

months_read as (
    select funnel_index, period, age_us, span_us, is_cut
    from months_cut

    union

    select
        funnel_index,
        lag(period) over (partition by funnel_index order by period) as period,
        age_us,
        span_us,
        is_cut
    from months_cut
),

readings as (
    select
        months_read.funnel_index,
        months_read.period,
        months_read.age_us,
        months_read.span_us,
        months_read.is_cut,
        begun.start_at
    from months_read
    inner join months_begun as begun
        on begun.funnel_index = months_read.funnel_index
        and begun.period = months_read.period
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
