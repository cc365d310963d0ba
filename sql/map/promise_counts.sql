-- Promises by outcome, per persona and month.
-- Grain: promise_index, persona, period.
with outcomes_described as (
    select
        outcomes.promise_index,
        coalesce(facts.persona, 'unassigned') as persona,
        months.month,
        outcomes.person_key,
        outcomes.outcome,
        outcomes.is_matured,
        outcomes.broken_at,
        -- A decimal, because its sum is the same in whatever order it is added.
        cast(outcomes.score as decimal(28, 10)) as score
    from map.promise_outcomes as outcomes
    inner join config.months
        on outcomes.due_at >= months.start_at
        and outcomes.due_at < months.end_at
    left join journeys.journey_facts as facts
        on facts.person_key = outcomes.person_key
        and facts.journey_index = outcomes.journey_index
),

outcomes_counted as (
    select
        promise_index,
        coalesce(persona, 'all') as persona,
        coalesce(month, 'all') as period,
        count(*) as due_count,
        count(*) filter (where outcome = 'kept') as kept_count,
        count(*) filter (where outcome = 'broken') as broken_count,
        count(*) filter (where outcome = 'pending') as pending_count,
        count(*) filter (where is_matured) as matured_count,
        count(*) filter (where is_matured and outcome = 'kept') as matured_kept_count,
        count(distinct person_key) filter (where outcome = 'broken') as broken_person_count,
        min(broken_at) as first_broken_at,
        cast(sum(score) as double) / nullif(count(score), 0) as mean_score
    from outcomes_described
    group by grouping sets (
        (promise_index, persona, month),
        (promise_index, persona),
        (promise_index, month),
        (promise_index)
    )
),

-- A promise that never fell due has a row too.
rows_wanted as (
    select promise_index, persona, period
    from outcomes_counted
    union
    select promise_index, 'all' as persona, 'all' as period
    from config.promises
)

select
    rows_wanted.promise_index,
    rows_wanted.persona,
    rows_wanted.period,
    coalesce(outcomes_counted.due_count, 0) as due_count,
    coalesce(outcomes_counted.kept_count, 0) as kept_count,
    coalesce(outcomes_counted.broken_count, 0) as broken_count,
    coalesce(outcomes_counted.pending_count, 0) as pending_count,
    coalesce(outcomes_counted.matured_count, 0) as matured_count,
    coalesce(outcomes_counted.matured_kept_count, 0) as matured_kept_count,
    coalesce(outcomes_counted.broken_person_count, 0) as broken_person_count,
    outcomes_counted.first_broken_at,
    outcomes_counted.mean_score
from rows_wanted
left join outcomes_counted
    on outcomes_counted.promise_index = rows_wanted.promise_index
    and outcomes_counted.persona = rows_wanted.persona
    and outcomes_counted.period = rows_wanted.period
