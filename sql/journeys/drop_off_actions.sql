-- What those who left a step did next.
-- Grain: funnel_index, persona, period, step_index, next_action.
with reaches as (
    select funnel_index, persona, period, step_index, outcome, next_action
    from journeys.funnel_reaches
),

funnels as (
    select funnel_index, step_count
    from config.funnels
)

select
    reaches.funnel_index,
    coalesce(reaches.persona, 'all') as persona,
    coalesce(reaches.period, 'all') as period,
    reaches.step_index,
    reaches.next_action,
    count(*) as drop_off_count
from reaches
inner join funnels on funnels.funnel_index = reaches.funnel_index
where reaches.outcome = 'dropped' and reaches.step_index < funnels.step_count
group by grouping sets (
    (reaches.funnel_index, reaches.step_index, reaches.next_action, reaches.persona, reaches.period),
    (reaches.funnel_index, reaches.step_index, reaches.next_action, reaches.persona),
    (reaches.funnel_index, reaches.step_index, reaches.next_action, reaches.period),
    (reaches.funnel_index, reaches.step_index, reaches.next_action)
)
