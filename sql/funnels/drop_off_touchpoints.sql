-- Where units were last seen at each step: those who left, and matured ones who went on.
-- Grain: funnel_index, persona, period, step_index, last_touchpoint.
with outcomes_separated as (
    select
        reaches.funnel_index,
        reaches.persona,
        reaches.period,
        reaches.step_index,
        event_types.touchpoint as last_touchpoint,
        reaches.outcome = 'dropped' as is_dropped,
        case when reaches.outcome = 'dropped' then reaches.seconds_to_last end as seconds_before_leaving
    from funnels.funnel_reaches as reaches
    inner join config.funnels on funnels.funnel_index = reaches.funnel_index
    inner join journeys.event_types on event_types.event_type_ix = reaches.last_event_type_ix
    where
        reaches.step_index < funnels.step_count
        and (reaches.outcome = 'dropped' or (reaches.outcome = 'converted' and reaches.is_matured))
)

select
    funnel_index,
    coalesce(persona, 'all') as persona,
    coalesce(period, 'all') as period,
    step_index,
    last_touchpoint,
    count(*) filter (where is_dropped) as drop_off_count,
    count(*) filter (where not is_dropped) as advanced_count,
    -- Rounded to the microsecond: between equal values interpolation may miss them by the last digit.
    round(quantile_cont(seconds_before_leaving, 0.5), 6) as p50_seconds_before_leaving
from outcomes_separated
group by grouping sets (
    (funnel_index, step_index, last_touchpoint, persona, period),
    (funnel_index, step_index, last_touchpoint, persona),
    (funnel_index, step_index, last_touchpoint, period),
    (funnel_index, step_index, last_touchpoint)
)
