-- What one drop-off at each step is worth: the chance of ending at the last step from there on, times the goal's mean value.
-- Grain: funnel_index, persona, period, step_index.
with counts as (
    select funnel_index, persona, period, step_index, matured_count, matured_next_count
    from funnels.funnel_step_counts
),

funnels as (
    select funnel_index, step_count
    from config.funnels
),

last_steps as (
    select counts.funnel_index, counts.persona, counts.period, counts.matured_count
    from counts
    inner join funnels
        on funnels.funnel_index = counts.funnel_index
        and funnels.step_count = counts.step_index
)

select
    counts.funnel_index,
    counts.persona,
    counts.period,
    counts.step_index,
    -- Valued by the units that went on: lost units would have done no better. Hence an upper bound.
    cast(last_steps.matured_count as double) / nullif(counts.matured_next_count, 0) * goal_means.mean_value_amount
        as value_per_drop_off_amount
from counts
inner join funnels on funnels.funnel_index = counts.funnel_index
inner join last_steps
    on last_steps.funnel_index = counts.funnel_index
    and last_steps.persona = counts.persona
    and last_steps.period = counts.period
inner join funnels.funnel_values as goal_means
    on goal_means.funnel_index = counts.funnel_index
    and goal_means.persona = counts.persona
    and goal_means.period = counts.period
where counts.step_index < funnels.step_count
