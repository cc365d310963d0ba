-- The mean value of the goal among the units that reached the last step.
-- Grain: funnel_index, persona, period.
with goal_values as (
    select funnel_index, persona, period, value_amount, is_rate_missing
    from journeys.goal_values
)

select
    funnel_index,
    coalesce(persona, 'all') as persona,
    coalesce(period, 'all') as period,
    -- One amount that cannot be converted makes the mean unknown.
    case
        when count(*) filter (where is_rate_missing) = 0 then cast(sum(value_amount) as double) / count(*)
    end as mean_value_amount
from goal_values
group by grouping sets (
    (funnel_index, persona, period),
    (funnel_index, persona),
    (funnel_index, period),
    (funnel_index)
)
