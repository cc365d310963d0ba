-- Every step of every funnel by day of entry: the best attempt that each unit began that day.
-- Grain: funnel, persona, entry_date, step_index.
with personas_joined as (
    select
        days.funnel_index,
        journeys.persona,
        days.entry_day,
        days.depth,
        days.is_pending,
        days.is_matured
    from kernel.funnel_days as days
    inner join journeys.journey_facts as journeys
        on journeys.person_key = days.person_key
        and journeys.journey_index = days.journey_index
),

-- A few thousand rows; everything below is cheap however many attempts there are.
outcomes_grouped as (
    select
        funnel_index,
        coalesce(persona, 'all') as persona,
        entry_day,
        depth,
        is_pending,
        bool_and(is_matured) as is_matured,
        count(*) as unit_count
    from personas_joined
    group by grouping sets ((funnel_index, entry_day, depth, is_pending, persona), (funnel_index, entry_day, depth, is_pending))
),

steps_counted as (
    select
        outcomes_grouped.funnel_index,
        outcomes_grouped.persona,
        outcomes_grouped.entry_day,
        steps.step_index,
        sum(outcomes_grouped.unit_count) filter (where outcomes_grouped.depth >= steps.step_index) as person_count,
        sum(outcomes_grouped.unit_count) filter (where outcomes_grouped.depth > steps.step_index) as next_count,
        sum(outcomes_grouped.unit_count) filter (
            where outcomes_grouped.depth = steps.step_index and outcomes_grouped.is_pending
        ) as pending_count,
        bool_and(outcomes_grouped.is_matured) as is_matured
    from outcomes_grouped
    inner join config.funnel_steps as steps on steps.funnel_index = outcomes_grouped.funnel_index
    group by outcomes_grouped.funnel_index, outcomes_grouped.persona, outcomes_grouped.entry_day, steps.step_index
),

nobody_written_as_zero as (
    select
        funnel_index,
        persona,
        entry_day,
        step_index,
        cast(coalesce(person_count, 0) as bigint) as person_count,
        cast(coalesce(next_count, 0) as bigint) as next_count,
        cast(coalesce(pending_count, 0) as bigint) as pending_count,
        is_matured
    from steps_counted
)

select
    funnels.funnel,
    counts.persona,
    counts.entry_day as entry_date,
    counts.step_index,
    counts.person_count,
    case when counts.step_index = funnels.step_count then counts.person_count else counts.next_count end as converted_count,
    case
        when counts.step_index < funnels.step_count then counts.person_count - counts.next_count - counts.pending_count
    end as drop_off_count,
    case when counts.step_index < funnels.step_count then counts.pending_count end as pending_count,
    counts.is_matured
from nobody_written_as_zero as counts
inner join config.funnels on funnels.funnel_index = counts.funnel_index
