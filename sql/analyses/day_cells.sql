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

-- Counted at all ages at once: units by day are many, and are read once.
units_aged as (
    select
        units.funnel_index,
        units.unit_key,
        units.entry_day,
        units.person_key,
        units.journey_index,
        1 + count(*) filter (where date_diff('microsecond', units.entered_at, steps.reached_at) <= 86400000000) as depth_1,
        1 + count(*) filter (where date_diff('microsecond', units.entered_at, steps.reached_at) <= 259200000000) as depth_3,
        1 + count(*) filter (where date_diff('microsecond', units.entered_at, steps.reached_at) <= 604800000000) as depth_7,
        1 + count(*) filter (where date_diff('microsecond', units.entered_at, steps.reached_at) <= funnels.window_us)
            as depth_0
    from kernel.funnel_days as units
    inner join config.funnels on funnels.funnel_index = units.funnel_index
    inner join days_wanted
        on days_wanted.funnel_index = units.funnel_index
        and days_wanted.day = units.entry_day
    left join kernel.funnel_day_steps as steps
        on steps.funnel_index = units.funnel_index
        and steps.unit_key = units.unit_key
        and steps.entry_day = units.entry_day
    group by units.funnel_index, units.unit_key, units.entry_day, units.person_key, units.journey_index
),

units_counted as (
    select
        units_aged.funnel_index,
        units_aged.entry_day,
        origins.persona,
        origins.channel,
        units_aged.depth_1,
        units_aged.depth_3,
        units_aged.depth_7,
        units_aged.depth_0,
        count(*) as unit_count
    from units_aged
    inner join analyses.journey_origins as origins
        on origins.person_key = units_aged.person_key
        and origins.journey_index = units_aged.journey_index
    group by
        units_aged.funnel_index, units_aged.entry_day, origins.persona, origins.channel, units_aged.depth_1,
        units_aged.depth_3, units_aged.depth_7, units_aged.depth_0
),

units_read as (
    select
        units_counted.funnel_index,
        units_counted.entry_day,
        days_read.age_days,
        units_counted.persona,
        units_counted.channel,
        case days_read.age_days
            when 1 then units_counted.depth_1
            when 3 then units_counted.depth_3
            when 7 then units_counted.depth_7
            else units_counted.depth_0
        end as depth,
        units_counted.unit_count
    from units_counted
    inner join days_read
        on days_read.funnel_index = units_counted.funnel_index
        and days_read.day = units_counted.entry_day
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
        depth,
        cast(sum(unit_count) as bigint) as unit_count
    from units_read
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
