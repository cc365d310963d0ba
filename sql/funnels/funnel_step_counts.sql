-- Units at every step of every funnel by outcome, with the totals over personas and months, and with rows of zero units.
-- Grain: funnel_index, persona, period, step_index.
with steps as (
    select funnel_index, step_index
    from config.funnel_steps
),

-- A few hundred rows; everything below is cheap however many attempts there are.
outcomes_grouped as (
    select
        funnel_index,
        coalesce(persona, 'all') as persona,
        coalesce(period, 'all') as period,
        depth,
        is_pending,
        is_matured,
        count(*) as unit_count,
        count(*) filter (where is_tie_decided) as tie_decided_count,
        count(*) filter (where is_in_order) as in_order_count,
        count(*) filter (where is_in_order is not null) as order_known_count,
        coalesce(sum(order_pair_count), 0) as order_pair_count,
        coalesce(sum(tied_pair_count), 0) as tied_pair_count
    from funnels.funnel_attempts as attempts
    group by grouping sets (
        (funnel_index, depth, is_pending, is_matured, persona, period),
        (funnel_index, depth, is_pending, is_matured, persona),
        (funnel_index, depth, is_pending, is_matured, period),
        (funnel_index, depth, is_pending, is_matured)
    )
),

personas_listed as (
    select persona
    from config.personas

    union all

    select 'all' as persona
),

-- The whole period has a row for every persona, a month only for those who entered in it.
rows_wanted as (
    select steps.funnel_index, steps.step_index, personas_listed.persona, 'all' as period
    from steps
    cross join personas_listed

    union

    select steps.funnel_index, steps.step_index, outcomes_grouped.persona, outcomes_grouped.period
    from steps
    inner join outcomes_grouped on outcomes_grouped.funnel_index = steps.funnel_index
)

select
    rows_wanted.funnel_index,
    rows_wanted.persona,
    rows_wanted.period,
    rows_wanted.step_index,
    cast(coalesce(sum(unit_count) filter (where depth >= step_index), 0) as bigint) as person_count,
    cast(coalesce(sum(unit_count) filter (where depth > step_index), 0) as bigint) as next_count,
    cast(coalesce(sum(unit_count) filter (where depth = step_index and is_pending), 0) as bigint) as pending_count,
    cast(coalesce(sum(unit_count) filter (where is_matured), 0) as bigint) as matured_entered_count,
    cast(coalesce(sum(unit_count) filter (where depth >= step_index - 1 and is_matured), 0) as bigint) as matured_before_count,
    cast(coalesce(sum(unit_count) filter (where depth >= step_index and is_matured), 0) as bigint) as matured_count,
    cast(coalesce(sum(unit_count) filter (where depth > step_index and is_matured), 0) as bigint) as matured_next_count,
    cast(coalesce(sum(tie_decided_count), 0) as bigint) as tie_decided_count,
    cast(coalesce(sum(in_order_count) filter (where is_matured), 0) as bigint) as matured_in_order_count,
    cast(coalesce(sum(order_known_count) filter (where is_matured), 0) as bigint) as matured_order_known_count,
    cast(coalesce(sum(order_pair_count) filter (where is_matured), 0) as bigint) as matured_order_pair_count,
    cast(coalesce(sum(tied_pair_count) filter (where is_matured), 0) as bigint) as matured_tied_pair_count
from rows_wanted
left join outcomes_grouped
    on outcomes_grouped.funnel_index = rows_wanted.funnel_index
    and outcomes_grouped.persona = rows_wanted.persona
    and outcomes_grouped.period = rows_wanted.period
group by rows_wanted.funnel_index, rows_wanted.persona, rows_wanted.period, rows_wanted.step_index
