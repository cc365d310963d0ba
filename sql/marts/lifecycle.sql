-- How many persons are new, return, resurrect or fall dormant in each month.
-- Grain: period, persona.
with months_listed as (
    select
        month as period,
        month_number,
        month_number = max(month_number) over () as is_open
    from config.day_dates
    group by month, month_number
),

months_numbered as (
    select active_months.person_key, active_months.month, months_listed.month_number, facts.persona
    from analyses.active_months
    inner join months_listed on months_listed.period = active_months.month
    -- The persona of the first journey, so that a person stays in one series for good.
    left join journeys.journey_facts as facts
        on facts.person_key = active_months.person_key
        and facts.journey_index = 1
),

months_followed as (
    select
        coalesce(persona, 'unassigned') as persona,
        month_number,
        lag(month_number) over (partition by person_key order by month) as previous_number,
        lead(month_number) over (partition by person_key order by month) as next_number
    from months_numbered
),

-- A month without the person after one with counts in that month.
states_found as (
    select
        persona,
        month_number,
        case
            when previous_number is null then 'new'
            when previous_number = month_number - 1 then 'returning'
            else 'resurrecting'
        end as state
    from months_followed
    union all
    select persona, month_number + 1 as month_number, 'away' as state
    from months_followed
    where next_number is null or next_number > month_number + 1
),

states_counted as (
    select
        coalesce(persona, 'all') as persona,
        month_number,
        count(*) filter (where state = 'new') as new_count,
        count(*) filter (where state = 'returning') as returning_count,
        count(*) filter (where state = 'resurrecting') as resurrecting_count,
        count(*) filter (where state = 'away') as away_count
    from states_found
    group by grouping sets ((persona, month_number), (month_number))
),

personas_listed as (
    select persona from config.personas
    union all
    select 'all' as persona
)

select
    months_listed.period,
    personas_listed.persona,
    coalesce(counts.new_count + counts.returning_count + counts.resurrecting_count, 0) as active_count,
    coalesce(counts.new_count, 0) as new_count,
    coalesce(counts.returning_count, 0) as returning_count,
    coalesce(counts.resurrecting_count, 0) as resurrecting_count,
    case when months_listed.is_open then 0 else coalesce(counts.away_count, 0) end as dormant_count,
    case when months_listed.is_open then coalesce(counts.away_count, 0) else 0 end as pending_count,
    months_listed.is_open
from months_listed
cross join personas_listed
left join states_counted as counts
    on counts.month_number = months_listed.month_number
    and counts.persona = personas_listed.persona
