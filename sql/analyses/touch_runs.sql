-- Touches and goals of a person in runs: a goal ends one, and so does a gap above the look-back.
-- Grain: goal_index, person_key, run_index, event_ix.
with timeline as (
    select
        attribution.goal_index,
        attribution.lookback_us,
        attribution.is_first_only,
        touches.person_key,
        touches.occurred_at as occurred_at,
        cast(0 as bigint) as goal_number,
        channels.channel_ix,
        channels.shown_channel = 'direct' as is_direct,
        touches.session_ix,
        touches.event_ix,
        touches.journey_index
    from analyses.touches
    inner join analyses.touch_channels as channels on channels.channel = touches.channel
    cross join config.attribution

    union all

    select
        attribution.goal_index,
        attribution.lookback_us,
        attribution.is_first_only,
        goals.person_key,
        goals.goal_at as occurred_at,
        goals.goal_number,
        cast(null as integer) as channel_ix,
        false as is_direct,
        goals.session_ix,
        goals.event_ix,
        goals.journey_index
    from analyses.goal_events as goals
    inner join config.attribution on attribution.goal_index = goals.goal_index
),

-- At one instant a touch comes before a goal, and touches come in the order of the channels' names.
timeline_preceded as (
    select
        goal_index, lookback_us, is_first_only, person_key, occurred_at, goal_number, channel_ix, is_direct, session_ix,
        event_ix, journey_index,
        lag(occurred_at) over (
            partition by goal_index, person_key order by occurred_at, goal_number, channel_ix, event_ix
        ) as previous_at,
        max(goal_number) over (
            partition by goal_index, person_key order by occurred_at, goal_number, channel_ix, event_ix
            rows between unbounded preceding and 1 preceding
        ) as goals_before,
        lag(goal_number) over (
            partition by goal_index, person_key order by occurred_at, goal_number, channel_ix, event_ix
        ) as previous_goal_number
    from timeline
)

select
    goal_index,
    person_key,
    cast(
        sum(
            case
                when previous_goal_number = 0 and date_diff('microsecond', previous_at, occurred_at) <= lookback_us then 0
                else 1
            end
        ) over (
            partition by goal_index, person_key order by occurred_at, goal_number, channel_ix, event_ix
            rows between unbounded preceding and current row
        ) as bigint
    ) as run_index,
    occurred_at,
    goal_number > 0 as is_goal,
    channel_ix,
    is_direct,
    session_ix,
    event_ix,
    journey_index
from timeline_preceded
where not is_first_only or coalesce(goals_before, 0) = 0
