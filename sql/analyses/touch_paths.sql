-- Every run of touches as a path: whether a goal ended it, who the person was, and what the goal brought.
-- Grain: goal_index, person_key, run_index.
with runs_ended as (
    select
        runs.goal_index,
        runs.person_key,
        runs.run_index,
        max(runs.occurred_at) as ended_at,
        max(runs.journey_index) as journey_index,
        max(case when runs.is_goal then runs.event_ix end) as goal_event_ix
    from analyses.touch_runs as runs
    group by runs.goal_index, runs.person_key, runs.run_index
),

goals_counted as (
    select goal_index, person_key, count(*) as goal_count
    from runs_ended
    where goal_event_ix is not null
    group by goal_index, person_key
),

paths_spelt as (
    select
        touches.goal_index,
        touches.person_key,
        touches.run_index,
        string_agg(chr(64 + touches.channel_ix), '' order by touches.place) as path_code,
        bool_or(touches.is_last_direct) as is_last_direct
    from analyses.path_touches as touches
    group by touches.goal_index, touches.person_key, touches.run_index
)

select
    runs_ended.goal_index,
    runs_ended.person_key,
    runs_ended.run_index,
    facts.persona,
    months.month,
    coalesce(paths_spelt.path_code, '@') as path_code,
    coalesce(paths_spelt.is_last_direct, false) as is_last_direct,
    case
        when runs_ended.goal_event_ix is not null then 'converted'
        -- None of its touches can be credited any more.
        when date_diff('microsecond', runs_ended.ended_at, settings.high_water_at) >= attribution.lookback_us
            then 'not_converted'
        else 'pending'
    end as outcome,
    goals.value_amount,
    coalesce(goals.is_rate_missing, false) as is_rate_missing,
    coalesce(goals_counted.goal_count, 0) as person_goal_count
from runs_ended
inner join config.attribution on attribution.goal_index = runs_ended.goal_index
cross join config.settings
inner join journeys.journey_facts as facts
    on facts.person_key = runs_ended.person_key
    and facts.journey_index = runs_ended.journey_index
inner join config.months
    on runs_ended.ended_at >= months.start_at
    and runs_ended.ended_at < months.end_at
left join paths_spelt
    on paths_spelt.goal_index = runs_ended.goal_index
    and paths_spelt.person_key = runs_ended.person_key
    and paths_spelt.run_index = runs_ended.run_index
left join goals_counted
    on goals_counted.goal_index = runs_ended.goal_index
    and goals_counted.person_key = runs_ended.person_key
left join analyses.goal_events as goals
    on goals.goal_index = runs_ended.goal_index
    and goals.event_ix = runs_ended.goal_event_ix
