-- Spells of absence after the start of a cohort, by the age of the return before and the age at which they end.
-- Grain: start_index, persona, channel, cohort, previous_age_index, end_age_index, is_return, is_whole.
with last_numbers as (
    select max(month_number) as month_number, max(week_number) as week_number
    from config.day_dates
),

-- How many ages of a person are over at the high-water mark.
starts_aged as (
    select
        starts.start_index,
        starts.person_key,
        coalesce(facts.persona, 'unassigned') as persona,
        starts.channel,
        starts.cohort,
        cohorts.age_count,
        least(
            cohorts.age_count,
            case
                when cohorts.calendar = 'month' then last_numbers.month_number - starts.start_number
                when cohorts.calendar = 'week' then last_numbers.week_number - starts.start_number
                else floor(date_diff('microsecond', starts.started_at, settings.high_water_at) / cohorts.bucket_us)
            end
        ) as over_count
    from analyses.cohort_starts as starts
    inner join config.cohorts on cohorts.start_index = starts.start_index
    cross join config.settings
    cross join last_numbers
    left join journeys.journey_facts as facts
        on facts.person_key = starts.person_key
        and facts.journey_index = starts.journey_index
),

returns_followed as (
    select
        start_index,
        person_key,
        age_index,
        lag(age_index) over (partition by start_index, person_key order by age_index) as previous_age_index,
        lead(age_index) over (partition by start_index, person_key order by age_index) is null as is_last
    from analyses.cohort_returns
),

-- One row per person and return, and one for the time since the last return.
spells_found as (
    select start_index, person_key, coalesce(previous_age_index, -1) as previous_age_index, age_index as end_age_index
    from returns_followed
    union all
    select
        starts_aged.start_index,
        starts_aged.person_key,
        coalesce(returns_followed.age_index, -1) as previous_age_index,
        null as end_age_index
    from starts_aged
    left join returns_followed
        on returns_followed.start_index = starts_aged.start_index
        and returns_followed.person_key = starts_aged.person_key
        and returns_followed.is_last
),

spells_described as (
    select
        starts_aged.start_index,
        starts_aged.persona,
        starts_aged.channel,
        starts_aged.cohort,
        spells_found.previous_age_index,
        cast(coalesce(spells_found.end_age_index, starts_aged.over_count) as integer) as end_age_index,
        spells_found.end_age_index is not null as is_return,
        coalesce(spells_found.end_age_index < starts_aged.over_count, false) as is_over,
        starts_aged.over_count = starts_aged.age_count as is_whole
    from spells_found
    inner join starts_aged
        on starts_aged.start_index = spells_found.start_index
        and starts_aged.person_key = spells_found.person_key
)

select
    start_index,
    coalesce(persona, 'all') as persona,
    coalesce(channel, 'all') as channel,
    coalesce(cohort, 'all') as cohort,
    previous_age_index,
    end_age_index,
    is_return,
    is_whole,
    count(*) as spell_count,
    count(*) filter (where is_over) as over_spell_count
from spells_described
group by grouping sets (
    (start_index, persona, cohort, previous_age_index, end_age_index, is_return, is_whole),
    (start_index, channel, cohort, previous_age_index, end_age_index, is_return, is_whole),
    (start_index, cohort, previous_age_index, end_age_index, is_return, is_whole),
    (start_index, persona, previous_age_index, end_age_index, is_return, is_whole),
    (start_index, channel, previous_age_index, end_age_index, is_return, is_whole),
    (start_index, previous_age_index, end_age_index, is_return, is_whole)
)
