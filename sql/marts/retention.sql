-- Who comes back: at each age after a person's start, by cohort, persona and channel of the start.
-- Grain: start, persona, channel, cohort, age_index, rule.
with cohorts_listed as (
    select distinct
        cohorts.start_index,
        case when cohorts.cohort_unit = 'month' then days.month else days.week end as cohort
    from config.cohorts
    cross join config.day_dates as days
    union all
    select start_index, 'all' as cohort
    from config.cohorts
),

groups_listed as (
    select start_index, channel, 'all' as persona
    from analyses.cohort_spells
    where persona = 'all' and cohort = 'all' and channel <> 'all'
    group by start_index, channel
    union all
    select cohorts.start_index, 'all' as channel, personas.persona
    from config.cohorts
    cross join config.personas
    union all
    select start_index, 'all' as channel, 'all' as persona
    from config.cohorts
),

-- A cohort that nobody entered has rows too.
rows_wanted as (
    select groups_listed.start_index, groups_listed.persona, groups_listed.channel, cohorts_listed.cohort, ages.age_index
    from groups_listed
    inner join cohorts_listed on cohorts_listed.start_index = groups_listed.start_index
    inner join config.cohort_ages as ages on ages.start_index = groups_listed.start_index
)

select
    cohorts.start,
    cohorts.start_index,
    rows_wanted.persona,
    rows_wanted.channel,
    rows_wanted.cohort,
    rows_wanted.age_index,
    rules.rule,
    cohorts.age_unit,
    coalesce(counts.person_count, 0) as person_count,
    coalesce(counts.returned_count, 0) as returned_count,
    coalesce(counts.matured_count - counts.matured_returned_count, 0) as not_returned_count,
    -- Not back yet, and the age is not over.
    coalesce(
        counts.person_count - counts.returned_count - (counts.matured_count - counts.matured_returned_count), 0
    ) as pending_count,
    coalesce(counts.matured_count, 0) as matured_count,
    coalesce(counts.matured_returned_count, 0) as matured_returned_count,
    coalesce(counts.whole_count, 0) as whole_count,
    coalesce(rates.last_age_index, rows_wanted.age_index) as last_age_index,
    rates.retention_rate,
    rates.retention_low,
    rates.retention_high,
    coalesce(counts.matured_count, 0) < settings.min_count as is_small
from rows_wanted
cross join (select 'on' as rule union all select 'on_or_after' as rule) as rules
inner join config.cohorts on cohorts.start_index = rows_wanted.start_index
cross join config.settings
left join analyses.retention_counts as counts
    on counts.start_index = rows_wanted.start_index
    and counts.persona = rows_wanted.persona
    and counts.channel = rows_wanted.channel
    and counts.cohort = rows_wanted.cohort
    and counts.age_index = rows_wanted.age_index
    and counts.rule = rules.rule
left join analyses.retention_rates as rates
    on rates.start_index = counts.start_index
    and rates.persona = counts.persona
    and rates.channel = counts.channel
    and rates.cohort = counts.cohort
    and rates.age_index = counts.age_index
    and rates.rule = counts.rule
