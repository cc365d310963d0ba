-- The mean value of the goal among the units that reached the last step.
-- Grain: funnel_index, persona, period.
with values_placed as (
    select
        goal_values.funnel_index,
        attempts.persona,
        attempts.period,
        goal_values.value_amount,
        goal_values.is_rate_missing
    from journeys.goal_values
    inner join funnels.funnel_attempts as attempts
        on attempts.funnel_index = goal_values.funnel_index
        and attempts.attempt_ix = goal_values.attempt_ix
)

select
    funnel_index,
    coalesce(persona, 'all') as persona,
    coalesce(period, 'all') as period,
    -- One amount that cannot be converted makes the mean unknown.
    case
        when count(*) filter (where is_rate_missing) = 0 then cast(sum(value_amount) as double) / count(*)
    end as mean_value_amount
from values_placed
group by grouping sets (
    (funnel_index, persona, period),
    (funnel_index, persona),
    (funnel_index, period),
    (funnel_index)
)
