-- Units that entered the funnel of an action in the eight weeks before and after it, by slice, and how many took its step.
-- Grain: action_index, slice, side.
with days_placed as (
    select
        actions.action_index,
        actions.step_index,
        actions.dimension,
        days.funnel_index,
        days.unit_key,
        days.person_key,
        days.journey_index,
        days.entry_day,
        days.depth,
        days.is_matured,
        days.entered_at >= actions.started_at as is_after,
        -- Whose window reaches into the action is neither of before nor of after.
        date_diff('microsecond', days.entered_at, actions.started_at) - funnels.window_us as ahead_us
    from config.actions as actions
    inner join config.funnels as funnels on funnels.funnel_index = actions.funnel_index
    inner join kernel.funnel_days as days
        on days.funnel_index = actions.funnel_index
        and date_diff('microsecond', days.entered_at, actions.started_at) < funnels.window_us + 4838400000000
        and date_diff('microsecond', actions.started_at, days.entered_at) < 4838400000000
),

-- A unit counts once on each side: by its first day there, as what it does later may follow from that.
first_days as (
    select
        action_index, step_index, dimension, unit_key, person_key, journey_index, depth,
        case
            when not is_after and ahead_us < 0 then 'ramp'
            when not is_matured then 'pending'
            when is_after then 'after'
            when ahead_us < 2419200000000 then 'later'
            else 'earlier'
        end as side,
        case when is_after then 2 when ahead_us < 0 then 1 else 0 end as part,
        entry_day
    from days_placed
    qualify
        row_number() over (
            partition by action_index, funnel_index, unit_key, case when is_after then 2 when ahead_us < 0 then 1 else 0 end
            order by entry_day
        ) = 1
),

units_sliced as (
    select
        days.action_index,
        days.step_index,
        days.side,
        days.depth,
        case days.dimension
            when 'persona' then origins.persona
            when 'channel' then origins.channel
            else 'all'
        end as slice
    from first_days as days
    inner join analyses.journey_origins as origins
        on origins.person_key = days.person_key
        and origins.journey_index = days.journey_index
)

select
    action_index,
    slice,
    side,
    count(*) as entered_count,
    count(*) filter (where depth >= step_index - 1) as reached_count,
    count(*) filter (where depth >= step_index) as went_on_count
from units_sliced
group by action_index, slice, side
