-- The touches of each run that the look-back leaves: repeats once, direct visits only where there is nothing else.
-- Grain: goal_index, person_key, run_index, place.
with runs_ended as (
    select
        runs.goal_index,
        runs.person_key,
        runs.run_index,
        max(runs.occurred_at) as ended_at,
        max(case when runs.is_goal then runs.session_ix end) as goal_session_ix
    from analyses.touch_runs as runs
    group by runs.goal_index, runs.person_key, runs.run_index
),

touches_credited as (
    select
        touches.goal_index, touches.person_key, touches.run_index, touches.occurred_at, touches.channel_ix,
        touches.is_direct, touches.event_ix
    from analyses.touch_runs as touches
    inner join runs_ended
        on runs_ended.goal_index = touches.goal_index
        and runs_ended.person_key = touches.person_key
        and runs_ended.run_index = touches.run_index
    inner join config.attribution on attribution.goal_index = touches.goal_index
    where
        not touches.is_goal
        and (
            date_diff('microsecond', touches.occurred_at, runs_ended.ended_at) <= attribution.lookback_us
            or touches.session_ix = runs_ended.goal_session_ix
        )

    union all

    -- The visit that holds a goal is a touch of it also where an earlier goal in it has ended the run.
    select
        touches.goal_index, touches.person_key, runs_ended.run_index, touches.occurred_at, touches.channel_ix,
        touches.is_direct, touches.event_ix
    from runs_ended
    inner join analyses.touch_runs as touches
        on touches.goal_index = runs_ended.goal_index
        and touches.person_key = runs_ended.person_key
        and touches.session_ix = runs_ended.goal_session_ix
    where not touches.is_goal and touches.run_index <> runs_ended.run_index
),

touches_compared as (
    select
        goal_index, person_key, run_index, occurred_at, channel_ix, is_direct, event_ix,
        bool_or(not is_direct) over (partition by goal_index, person_key, run_index) as has_other,
        last_value(is_direct) over (
            partition by goal_index, person_key, run_index order by occurred_at, channel_ix, event_ix
            rows between unbounded preceding and unbounded following
        ) as is_last_direct
    from touches_credited
),

touches_followed as (
    select
        goal_index, person_key, run_index, occurred_at, channel_ix, is_last_direct, event_ix,
        lead(channel_ix) over (
            partition by goal_index, person_key, run_index order by occurred_at, channel_ix, event_ix
        ) as next_channel_ix
    from touches_compared
    where not (is_direct and has_other)
),

touches_placed as (
    select
        goal_index, person_key, run_index, occurred_at, channel_ix, is_last_direct,
        row_number() over (
            partition by goal_index, person_key, run_index order by occurred_at, channel_ix, event_ix
        ) as place,
        count(*) over (partition by goal_index, person_key, run_index) as touch_count
    from touches_followed
    where next_channel_ix is null or next_channel_ix <> channel_ix
)

select
    goal_index,
    person_key,
    run_index,
    cast(place as integer) as place,
    channel_ix,
    occurred_at,
    is_last_direct
from touches_placed
-- Of a longer path the first touch and the last ones.
where place = 1 or place > touch_count - 31
