-- Units pending at each step by age: as they are now, at earlier moments, and in all whose window is over with what came of them.
-- Grain: kind, funnel_index, origin_at, persona, step_index, first_slot, last_slot, is_converted.
with ages_scaled as (
    select
        funnels.funnel_index,
        funnels.window_us,
        settings.high_water_at,
        -- The younger, the finer: 64 slots of the logarithm of 1 + 4096 age / window.
        cast(funnels.window_us as double) / 4096 as scale_us,
        64 / ln(4097) as slots_per_log
    from config.funnels
    cross join config.settings
),

-- A view that costs much: it is read once.
records_read as (
    select funnel_index, person_key, journey_index, step_index, entered_at, reached_at, left_at, is_converted
    from analyses.step_records
),

day_entries as (
    select
        funnel_index,
        date_trunc('day', entered_at) as entry_day,
        min(entered_at) as first_entered_at,
        count(*) as entry_count
    from records_read
    group by funnel_index, date_trunc('day', entered_at)
),

all_entries as (
    select funnel_index, count(*) as day_count, sum(entry_count) as entry_count
    from day_entries
    group by funnel_index
),

-- Before the data begin nobody is seen: of those who enter in their first window, many had entered long before. They
-- begin with the first day on which a tenth of the usual number enters, and not with a stray event of a wrong clock.
first_windows as (
    select day_entries.funnel_index, min(day_entries.first_entered_at) as first_entered_at
    from day_entries
    inner join all_entries on all_entries.funnel_index = day_entries.funnel_index
    where 10 * day_entries.entry_count * all_entries.day_count >= all_entries.entry_count
    group by day_entries.funnel_index
),

records_placed as (
    select
        records.funnel_index,
        facts.persona,
        records.step_index,
        records.entered_at,
        records.reached_at,
        records.left_at,
        records.is_converted
    from records_read as records
    inner join journeys.journey_facts as facts
        on facts.person_key = records.person_key
        and facts.journey_index = records.journey_index
),

past_slotted as (
    select
        records.funnel_index,
        records.persona,
        records.step_index,
        records.is_converted,
        date_diff('microsecond', firsts.first_entered_at, records.entered_at) < ages.window_us as is_early,
        -- The ages looked at are the middles of the slots.
        cast(ceil(
            ages.slots_per_log * ln(1 + date_diff('microsecond', records.entered_at, records.reached_at) / ages.scale_us) - 0.5
        ) as integer) as first_slot,
        cast(ceil(
            ages.slots_per_log * ln(1 + date_diff('microsecond', records.entered_at, records.left_at) / ages.scale_us) - 0.5
        ) as integer) as last_slot
    from records_placed as records
    inner join ages_scaled as ages on ages.funnel_index = records.funnel_index
    inner join first_windows as firsts on firsts.funnel_index = records.funnel_index
    -- Of the last eight windows, or eight weeks where they are longer: who entered long ago says less of today.
    where date_diff('microsecond', records.entered_at, ages.high_water_at) >= ages.window_us
        and date_diff('microsecond', records.entered_at, ages.high_water_at) - ages.window_us
        < greatest(8 * ages.window_us, 4838400000000)
),

now_slotted as (
    select
        attempts.funnel_index,
        attempts.persona,
        attempts.depth as step_index,
        cast(floor(
            ages.slots_per_log
            * ln(1 + date_diff('microsecond', attempts.entered_at, ages.high_water_at) / ages.scale_us)
        ) as integer) as first_slot
    from funnels.funnel_attempts as attempts
    inner join ages_scaled as ages on ages.funnel_index = attempts.funnel_index
    where attempts.is_pending
),

moments_slotted as (
    select
        records.funnel_index,
        origins.origin_at,
        records.persona,
        records.step_index,
        records.is_converted,
        cast(floor(
            ages.slots_per_log
            * ln(1 + date_diff('microsecond', records.entered_at, origins.origin_at) / ages.scale_us)
        ) as integer) as first_slot
    from records_placed as records
    inner join ages_scaled as ages on ages.funnel_index = records.funnel_index
    inner join analyses.forecast_origins as origins
        on origins.funnel_index = records.funnel_index
        and origins.origin_at >= records.reached_at
        and origins.origin_at < records.left_at
)

select
    case when is_early then 'early' else 'past' end as kind, funnel_index, cast(null as timestamp) as origin_at, persona, step_index, first_slot, last_slot,
    is_converted, count(*) as unit_count
from past_slotted
where last_slot > first_slot
group by is_early, funnel_index, persona, step_index, first_slot, last_slot, is_converted

union all

select
    'now' as kind, funnel_index, cast(null as timestamp) as origin_at, persona, step_index,
    least(first_slot, 63) as first_slot, cast(null as integer) as last_slot, cast(null as boolean) as is_converted,
    count(*) as unit_count
from now_slotted
group by funnel_index, persona, step_index, least(first_slot, 63)

union all

select
    'moment' as kind, funnel_index, origin_at, persona, step_index,
    least(first_slot, 63) as first_slot, cast(null as integer) as last_slot, is_converted, count(*) as unit_count
from moments_slotted
group by funnel_index, origin_at, persona, step_index, least(first_slot, 63), is_converted
