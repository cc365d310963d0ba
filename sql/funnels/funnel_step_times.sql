-- How long matured units took from each step to the next, and how many were seen in the step itself.
-- Grain: funnel_index, persona, period, step_index.
with times_narrowed as (
    select
        funnel_index,
        persona,
        period,
        step_index,
        is_visited,
        -- An unfinished window would show only its fast converters.
        case when is_matured then seconds_to_next end as seconds_to_next
    from funnels.funnel_reaches as reaches
)

select
    funnel_index,
    coalesce(persona, 'all') as persona,
    coalesce(period, 'all') as period,
    step_index,
    count(*) filter (where is_visited) as visited_count,
    -- Rounded to the microsecond: between equal values interpolation may miss them by the last digit.
    round(quantile_cont(seconds_to_next, 0.1), 6) as p10_seconds_to_next,
    round(quantile_cont(seconds_to_next, 0.5), 6) as p50_seconds_to_next,
    round(quantile_cont(seconds_to_next, 0.9), 6) as p90_seconds_to_next
from times_narrowed
group by grouping sets (
    (funnel_index, step_index, persona, period),
    (funnel_index, step_index, persona),
    (funnel_index, step_index, period),
    (funnel_index, step_index)
)
