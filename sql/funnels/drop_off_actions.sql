-- What those who left a step did next.
-- Grain: funnel_index, persona, period, step_index, next_action.
with actions_named as (
    select
        reaches.funnel_index,
        reaches.persona,
        reaches.period,
        reaches.step_index,
        coalesce(event_types.touchpoint, 'none') as next_action
    from funnels.funnel_reaches as reaches
    inner join config.funnels on funnels.funnel_index = reaches.funnel_index
    left join journeys.event_types on event_types.event_type_ix = reaches.next_event_type_ix
    where reaches.outcome = 'dropped' and reaches.step_index < funnels.step_count
)

select
    funnel_index,
    coalesce(persona, 'all') as persona,
    coalesce(period, 'all') as period,
    step_index,
    next_action,
    count(*) as drop_off_count
from actions_named
group by grouping sets (
    (funnel_index, step_index, next_action, persona, period),
    (funnel_index, step_index, next_action, persona),
    (funnel_index, step_index, next_action, period),
    (funnel_index, step_index, next_action)
)
