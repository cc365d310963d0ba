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
        days.funnel_index, days.unit_key, days.person_key, days.journey_index, days.entered_at, days.entry_day, days.depth,
        days.is_matured, first_days.month_start
    from first_days
    inner join kernel.funnel_days as days
        on days.funnel_index = first_days.funnel_index
        and days.unit_key = first_days.unit_key
        and days.entry_day = first_days.entry_day
),

months_totalled as (
    select funnel_index, month_start, min(entered_at) as first_at, 2 * count(*) filter (where is_matured) < count(*) as is_young
    from entries
    group by funnel_index, month_start
),

month_counts as (
    select
        totals.funnel_index, totals.month_start, totals.is_young, funnels.window_us,
        date_diff('microsecond', months.start_at, settings.high_water_at) as elapsed_us,
        lag(totals.month_start) over (partition by totals.funnel_index order by totals.month_start) as before_month_start,
        lag(date_diff('microsecond', months.start_at, totals.first_at)) over (
            partition by totals.funnel_index order by totals.month_start
        ) as before_first_us
    from months_totalled as totals
    inner join config.funnels on funnels.funnel_index = totals.funnel_index
    inner join config.months on months.month = substr(cast(totals.month_start as varchar), 1, 7)
    cross join config.settings
),

-- Half of the time since a young month began, in whole days: who entered in its first half has reached that age.
month_ages as (
    select
        funnel_index, month_start, before_month_start, before_first_us, window_us, elapsed_us,
        case
            when is_young and elapsed_us >= 172800000000
                then least(elapsed_us // 172800000000 * 86400000000, window_us)
            else window_us
        end as age_us
    from month_counts
),

-- Who enters early in a month visits often: of the month before, only those count who entered in as many first days.
month_spans as (
    select
        funnel_index, month_start, before_month_start, before_first_us, age_us, age_us < window_us as is_cut,
        greatest(0, least(elapsed_us - age_us, 2764800000000)) as span_us
    from month_ages
),

months_read as (
    select funnel_index, month_start, age_us, is_cut, span_us, 0 as from_us
    from month_spans

    union

    -- Where nobody entered it so early, as after a launch late in the month, its first days are those after the launch.
    select
        funnel_index, before_month_start as month_start, age_us, is_cut, span_us,
        case when span_us > 0 and before_first_us > span_us then before_first_us else 0 end as from_us
    from month_spans
),

entries_read as (
    select
        entries.funnel_index, entries.unit_key, entries.entry_day, entries.entered_at,
        months.month as period, readings.age_us, readings.span_us, origins.persona, origins.channel,
        case
            when date_diff('microsecond', months.start_at, entries.entered_at) - readings.from_us > readings.span_us then 0
            -- How far at the age of the reading is counted below.
            when readings.is_cut then null
            when entries.is_matured then entries.depth
            else 0
        end as depth
    from entries
    inner join months_read as readings
        on readings.funnel_index = entries.funnel_index
        and readings.month_start = entries.month_start
    inner join config.months on months.month = substr(cast(readings.month_start as varchar), 1, 7)
    inner join analyses.journey_origins as origins
        on origins.person_key = entries.person_key
        and origins.journey_index = entries.journey_index
),

entries_counted as (
    select funnel_index, period, age_us, span_us, persona, channel, depth, count(*) as unit_count
    from entries_read
    group by funnel_index, period, age_us, span_us, persona, channel, depth
),

steps_counted as (
    select funnel_index, period, age_us, span_us, persona, channel, 1 as depth, unit_count as reached_count
    from entries_counted
    where depth is null

    union all

    select
        entries.funnel_index, entries.period, entries.age_us, entries.span_us, entries.persona, entries.channel,
        steps.step_index as depth, count(*) as reached_count
    from kernel.funnel_day_steps as steps
    inner join entries_read as entries
        on entries.funnel_index = steps.funnel_index
        and entries.unit_key = steps.unit_key
        and entries.entry_day = steps.entry_day
    where entries.depth is null and date_diff('microsecond', entries.entered_at, steps.reached_at) <= entries.age_us
    group by
        entries.funnel_index, entries.period, entries.age_us, entries.span_us, entries.persona, entries.channel,
        steps.step_index
),

units_counted as (
    select funnel_index, period, age_us, span_us, persona, channel, depth, unit_count
    from entries_counted
    where depth is not null

    union all

    -- Steps are reached one after another: at each are those who reached it less those who reached the next.
    select
        funnel_index, period, age_us, span_us, persona, channel, depth,
        reached_count - lead(reached_count, 1, 0) over (
            partition by funnel_index, period, age_us, span_us, persona, channel order by depth
        ) as unit_count
    from steps_counted
)

select
    funnel_index, period, age_us, span_us,
    case when grouping(persona) = 0 then 'persona' else 'channel' end as dimension,
    coalesce(persona, channel) as slice,
    depth,
    cast(sum(unit_count) as bigint) as unit_count
from units_counted
where unit_count > 0
group by grouping sets (
    (funnel_index, period, age_us, span_us, persona, depth),
    (funnel_index, period, age_us, span_us, channel, depth)
)
