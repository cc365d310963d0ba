-- How regularly each source, and each event name of it, was heard of, and how long ago.
-- Grain: source, event_name (null for the source as a whole).
with settings as (
    select cast(high_water_at as date) as last_day
    from config.settings
),

event_types as (
    select event_type_ix, event_name
    from journeys.event_types
),

goal_names as (
    select event_types.event_name
    from event_types
    inner join config.event_type_predicates as predicates on predicates.event_type_ix = event_types.event_type_ix
    where predicates.predicate like 'goal/%'
    group by event_types.event_name
),

-- Failures and what the configuration calls friction: that they end is not bad news.
pain_names as (
    select event_types.event_name
    from event_types
    inner join map.exposure_event_types on exposure_event_types.event_type_ix = event_types.event_type_ix
    inner join map.exposures on exposures.exposure_ix = exposure_event_types.exposure_ix
    where exposures.exposure_kind in ('friction', 'signal')
    group by event_types.event_name
),

-- Null is the source as a whole: no event goes without a name.
days_counted as (
    select source_ix, event_name, day, cast(sum(event_count) as bigint) as event_count
    from journeys.daily_counts as counts
    where event_count > 0
    group by grouping sets ((source_ix, event_name, day), (source_ix, day))
),

gaps_measured as (
    select
        source_ix,
        event_name,
        day,
        event_count,
        date_diff('day', lag(day) over (partition by source_ix, event_name order by day), day) as gap_days
    from days_counted
),

rhythms_measured as (
    select
        source_ix,
        event_name,
        count(*) as active_days,
        cast(sum(event_count) as bigint) as event_count,
        min(day) as first_day,
        max(day) as last_day,
        max(gap_days) as longest_gap_days
    from gaps_measured
    group by source_ix, event_name
),

silences_measured as (
    select
        sources.source,
        rhythms.event_name,
        rhythms.event_name is null as is_source,
        coalesce(rhythms.active_days, 0) as active_days,
        coalesce(rhythms.event_count, 0) as event_count,
        rhythms.first_day,
        rhythms.last_day,
        rhythms.longest_gap_days,
        date_diff('day', rhythms.last_day, settings.last_day) as silent_days,
        -- Too few days show no rhythm; a source that never spoke is silent all the same.
        rhythms.last_day is null or (
            rhythms.active_days >= 7
            and date_diff('day', rhythms.last_day, settings.last_day) > greatest(2, 2 * rhythms.longest_gap_days)
        ) as is_silent
    from config.sources
    cross join settings
    left join rhythms_measured as rhythms on rhythms.source_ix = sources.source_ix
),

wholes as (
    select source, event_count, first_day, is_silent
    from silences_measured
    where is_source
)

select
    silences.source,
    silences.event_name,
    silences.is_source,
    goal_names.event_name is not null as is_goal,
    pain_names.event_name is not null as is_pain,
    silences.active_days,
    silences.event_count,
    cast(silences.event_count as double) / nullif(
        case when silences.is_source then totals.event_count else wholes.event_count end, 0
    ) as share_rate,
    silences.first_day,
    silences.last_day,
    wholes.first_day as source_first_day,
    silences.longest_gap_days,
    silences.silent_days,
    silences.is_silent,
    wholes.is_silent as is_source_silent
from silences_measured as silences
inner join wholes on wholes.source = silences.source
cross join (select cast(sum(event_count) as bigint) as event_count from wholes) as totals
left join goal_names on goal_names.event_name = silences.event_name
left join pain_names on pain_names.event_name = silences.event_name
