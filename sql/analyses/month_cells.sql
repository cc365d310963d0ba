-- Units that entered each funnel in each month by slice and by the step that they reached; each unit once a month.
-- Grain: funnel_index, period, dimension, slice, depth.
with days_dated as (
    select
        funnel_index,
        unit_key,
        person_key,
        journey_index,
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

units_sliced as (
    select
        days.funnel_index,
        days.period,
        origins.persona,
        origins.channel,
        case when days.is_matured then days.depth else 0 end as depth
    from first_days
    inner join days_dated as days
        on days.funnel_index = first_days.funnel_index
        and days.unit_key = first_days.unit_key
        and days.entry_day = first_days.entry_day
    inner join analyses.journey_origins as origins
        on origins.person_key = days.person_key
        and origins.journey_index = days.journey_index
)

select
    funnel_index,
    period,
    case when grouping(persona) = 0 then 'persona' else 'channel' end as dimension,
    coalesce(persona, channel) as slice,
    depth,
    count(*) as unit_count
from units_sliced
group by grouping sets (
    (funnel_index, period, persona, depth),
    (funnel_index, period, channel, depth)
)
