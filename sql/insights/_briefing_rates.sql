-- Of the rates that could first be read on the day of the run and are not what they were, the one least like chance.
-- Grain: row_key (one row, or none).
with rates_ranked as (
    select
        funnel, dimension, slice, step_index, day, age_days, kind, headline,
        row_number() over (
            order by q_value, abs(statistic) desc, funnel, dimension, slice, step_index, day, age_days, kind
        ) as rate_rank
    from marts.rate_alarms
    where is_current
)

select
    funnel,
    case when dimension = 'persona' then slice else 'all' end as persona,
    headline,
    concat(
        '{"funnel":"', replace(replace(funnel, '\', '\\'), '"', '\"'), '","dimension":"', dimension, '","slice":"',
        replace(replace(slice, '\', '\\'), '"', '\"'), '","step_index":', step_index, ',"day":"',
        cast(day as varchar), '","age_days":', age_days, ',"kind":"', kind, '"}'
    ) as row_key
from rates_ranked
where rate_rank = 1
