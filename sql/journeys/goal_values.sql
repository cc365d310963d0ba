-- What the goal brought at the last step of each attempt that got there, in the report currency.
-- Grain: funnel_index, attempt_ix.
select
    reaches.funnel_index,
    reaches.attempt_ix,
    amounts.value_amount,
    amounts.value_amount is null as is_rate_missing
from kernel.funnel_reaches as reaches
inner join config.funnels
    on funnels.funnel_index = reaches.funnel_index
    and funnels.step_count = reaches.step_index
inner join config.goals on goals.goal = funnels.goal
-- Only an event that is the goal has the goal's value.
inner join journeys.goal_amounts as amounts
    on amounts.goal_index = goals.goal_index
    and amounts.event_ix = reaches.event_ix
