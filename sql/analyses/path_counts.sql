-- Paths by how often they ended in the goal; all that the methods of attribution need to know.
-- Grain: goal_index, persona, month, path_code, is_last_direct.
select
    paths.goal_index,
    paths.persona,
    paths.month,
    paths.path_code,
    paths.is_last_direct,
    count(*) filter (where paths.outcome = 'converted') as conversion_count,
    count(*) filter (where paths.outcome = 'not_converted') as not_converted_count,
    count(*) filter (where paths.outcome = 'pending') as pending_count,
    cast(coalesce(sum(paths.person_goal_count) filter (where paths.outcome = 'converted'), 0) as bigint) as spread_count,
    cast(coalesce(sum(paths.value_amount), 0) as decimal(38, 4)) as value_amount,
    count(*) filter (where paths.is_rate_missing) as unvalued_count
from analyses.touch_paths as paths
group by paths.goal_index, paths.persona, paths.month, paths.path_code, paths.is_last_direct
