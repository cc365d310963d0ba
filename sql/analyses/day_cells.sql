-- Units that entered each funnel on each of the last days, by the step that they had reached after 1, 3 and 7 days and in the end.
-- Grain: funnel_index, dimension, slice, entry_day, age_days, depth.
with clocks as (
    select 1 as age_days

    union all

    select 3 as age_days

    union all

    select 7 as age_days

    union all

    select 0 as age_days
),

-- A day is read at an age once all who entered on it have reached that age, so that no day is younger than another.
days_read as (
    select
        funnels.funnel_index,
        days.day,
        clocks.age_days
    from config.funnels
    cross join config.settings
    cross join config.days
    cross join clocks
    where (clocks.age_days = 0 or cast(clocks.age_days as bigint) * 86400000000 < funnels.window_us)
        and date_diff('microsecond', days.end_at, settings.high_water_at)
        >= case clocks.age_days
            when 0 then funnels.window_us
            else cast(clocks.age_days as bigint) * 86400000000
        end
        and date_diff('microsecond', days.end_at, settings.high_water_at) < funnels.window_us + 10886400000000
),

days_wanted as (
    select funnel_index, day
    from days_read
    group by funnel_index, day
),

entries as (
    select
        units.funnel_index,
        units.unit_key,
        units.entry_day,
        units.entered_at,
        origins.persona,
        origins.channel
    from kernel.funnel_days as units
    inner join days_wanted
        on days_wanted.funnel_index = units.funnel_index
        and days_wanted.day = units.entry_day
    inner join analyses.journey_origins as origins
        on origins.person_key = units.person_key
        and origins.journey_index = units.journey_index
),

-- Who had reached each step, at all ages at once: units by day are many, and are read once.
steps_counted as (
    select
        funnel_index, entry_day, persona, channel, 1 as depth,
        count(*) as count_1, count(*) as count_3, count(*) as count_7, count(*) as count_0
    from entries
    group by funnel_index, entry_day, persona, channel

    union all

    select
        entries.funnel_index,
        entries.entry_day,
        entries.persona,
        entries.channel,
        steps.step_index as depth,
        count(*) filter (where date_diff('microsecond', entries.entered_at, steps.reached_at) <= 86400000000) as count_1,
        count(*) filter (where date_diff('microsecond', entries.entered_at, steps.reached_at) <= 259200000000) as count_3,
        count(*) filter (where date_diff('microsecond', entries.entered_at, steps.reached_at) <= 604800000000) as count_7,
        count(*) filter (where date_diff('microsecond', entries.entered_at, steps.reached_at) <= funnels.window_us) as count_0
    from kernel.funnel_day_steps as steps
    inner join entries
        on entries.funnel_index = steps.funnel_index
        and entries.unit_key = steps.unit_key
        and entries.entry_day = steps.entry_day
    inner join config.funnels on funnels.funnel_index = steps.funnel_index
    group by entries.funnel_index, entries.entry_day, entries.persona, entries.channel, steps.step_index
),

steps_read as (
    select
        steps_counted.funnel_index,
        steps_counted.entry_day,
        days_read.age_days,
        steps_counted.persona,
        steps_counted.channel,
        steps_counted.depth,
        case days_read.age_days
            when 1 then steps_counted.count_1
            when 3 then steps_counted.count_3
            when 7 then steps_counted.count_7
            else steps_counted.count_0
        end as reached_count
    from steps_counted
    inner join days_read
        on days_read.funnel_index = steps_counted.funnel_index
        and days_read.day = steps_counted.entry_day
),

-- Steps are reached one after another: at each are those who reached it less those who reached the next.
units_read as (
    select
        funnel_index, entry_day, age_days, persona, channel, depth,
        reached_count - coalesce(
            lead(reached_count) over (
                partition by funnel_index, entry_day, age_days, persona, channel order by depth
            ),
            0
        ) as unit_count
    from steps_read
),

cells_counted as (
    select
        funnel_index,
        case
            when grouping(persona) = 0 then 'persona'
            when grouping(channel) = 0 then 'channel'
            else 'all'
        end as dimension,
        coalesce(persona, channel, 'all') as slice,
        entry_day,
        age_days,
        cast(depth as bigint) as depth,
        cast(sum(unit_count) as bigint) as unit_count
    from units_read
    where unit_count > 0
    group by grouping sets (
        (funnel_index, entry_day, age_days, depth, persona),
        (funnel_index, entry_day, age_days, depth, channel),
        (funnel_index, entry_day, age_days, depth)
    )
)

select funnel_index, dimension, slice, entry_day, age_days, depth, unit_count
from cells_counted
-- A persona of today takes those who converted out of the days before: no like days are left to compare with.
where dimension <> 'persona' or not exists (select 1 from config.personas as personas where personas.is_as_of_now)
