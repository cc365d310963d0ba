-- Every step that a counted attempt reached: what came of it, how long it took, where the unit was last seen.
-- Grain: funnel_index, attempt_ix, step_index.
select
    reaches.funnel_index,
    reaches.attempt_ix,
    reaches.step_index,
    attempts.persona,
    attempts.period,
    reaches.is_visited,
    attempts.is_matured,
    case
        when attempts.depth > reaches.step_index or reaches.step_index = funnels.step_count then 'converted'
        when attempts.is_pending then 'pending'
        else 'dropped'
    end as outcome,
    cast(date_diff('microsecond', attempts.entered_at, reaches.reached_at) as double) / 1000000 as seconds_to_reach,
    -- Who passed a stage unseen spent no time in it that could be measured.
    case
        when reaches.is_visited then cast(date_diff('microsecond', reaches.visited_at, reaches.next_at) as double) / 1000000
    end as seconds_to_next,
    cast(date_diff('microsecond', reaches.reached_at, reaches.last_at) as double) / 1000000 as seconds_to_last,
    reaches.last_event_type_ix,
    reaches.next_event_type_ix
from kernel.funnel_reaches as reaches
inner join funnels.funnel_attempts as attempts
    on attempts.funnel_index = reaches.funnel_index
    and attempts.attempt_ix = reaches.attempt_ix
inner join config.funnels on funnels.funnel_index = reaches.funnel_index
