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
        clocks.age_days,
        case clocks.age_days
            when 0 then funnels.window_us
            else cast(clocks.age_days as bigint) * 86400000000
        end as age_us
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

steps_aged as (
    select
        steps.funnel_index,
        steps.unit_key,
        steps.entry_day,
        days_read.age_days,
        count(*) as step_count
    from kernel.funnel_day_steps as steps
    inner join kernel.funnel_days as units
        on units.funnel_index = steps.funnel_index
        and units.unit_key = steps.unit_key
        and units.entry_day = steps.entry_day
    inner join days_read
        on days_read.funnel_index = steps.funnel_index
        and days_read.day = steps.entry_day
    where date_diff('microsecond', units.entered_at, steps.reached_at) <= days_read.age_us
    group by steps.funnel_index, steps.unit_key, steps.entry_day, days_read.age_days
),

units_read as (
    select
        units.funnel_index,
        units.entry_day,
        days_read.age_days,
        facts.persona,
        case when event_types.channel = 'all' then 'channel all' else event_types.channel end as channel,
        1 + coalesce(steps_aged.step_count, 0) as depth
    from kernel.funnel_days as units
    inner join days_read
        on days_read.funnel_index = units.funnel_index
        and days_read.day = units.entry_day
    left join steps_aged
        on steps_aged.funnel_index = units.funnel_index
        and steps_aged.unit_key = units.unit_key
        and steps_aged.entry_day = units.entry_day
        and steps_aged.age_days = days_read.age_days
    inner join journeys.journey_facts as facts
        on facts.person_key = units.person_key
        and facts.journey_index = units.journey_index
    inner join kernel.journeys as journeys
        on journeys.person_key = units.person_key
        and journeys.journey_index = units.journey_index
    inner join journeys.event_types on event_types.event_type_ix = journeys.first_event_type_ix
)

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
    count(*) as unit_count
from units_read
group by grouping sets (
    (funnel_index, entry_day, age_days, depth, persona),
    (funnel_index, entry_day, age_days, depth, channel),
    (funnel_index, entry_day, age_days, depth)
)
-- A persona of today takes those who converted out of the days before: no like days are left to compare with.
having grouping(persona) = 1 or not exists (select 1 from config.personas as personas where personas.is_as_of_now)
