-- Where those who left a step were last seen, beside where those who went on were.
-- Grain: funnel, persona, period, step_index, last_touchpoint.
with touchpoints as (
    select
        funnel_index, persona, period, step_index, last_touchpoint,
        drop_off_count, advanced_count, p50_seconds_before_leaving
    from funnels.drop_off_touchpoints
),

steps_totalled as (
    select
        funnel_index,
        persona,
        period,
        step_index,
        sum(drop_off_count) as drop_off_count,
        sum(advanced_count) as advanced_count
    from touchpoints
    group by funnel_index, persona, period, step_index
),

shares_taken as (
    select
        touchpoints.funnel_index,
        touchpoints.persona,
        touchpoints.period,
        touchpoints.step_index,
        touchpoints.last_touchpoint,
        touchpoints.drop_off_count,
        touchpoints.p50_seconds_before_leaving,
        cast(touchpoints.drop_off_count as double) / nullif(steps_totalled.drop_off_count, 0) as share_rate,
        cast(touchpoints.advanced_count as double) / nullif(steps_totalled.advanced_count, 0) as expected_rate
    from touchpoints
    inner join steps_totalled
        on steps_totalled.funnel_index = touchpoints.funnel_index
        and steps_totalled.persona = touchpoints.persona
        and steps_totalled.period = touchpoints.period
        and steps_totalled.step_index = touchpoints.step_index
    -- A touchpoint that only those who went on were seen at says nothing of those who left.
    where touchpoints.drop_off_count > 0
)

select
    funnels.funnel,
    shares_taken.persona,
    shares_taken.period,
    shares_taken.step_index,
    shares_taken.last_touchpoint,
    shares_taken.drop_off_count,
    shares_taken.share_rate,
    shares_taken.expected_rate,
    shares_taken.share_rate / nullif(shares_taken.expected_rate, 0) as lift,
    shares_taken.p50_seconds_before_leaving,
    try_cast(shares_taken.drop_off_count * stakes.value_per_drop_off_amount as decimal(18, 4)) as value_at_stake_amount,
    settings.report_currency as currency
from shares_taken
inner join config.funnels on funnels.funnel_index = shares_taken.funnel_index
cross join config.settings
left join funnels.funnel_stakes as stakes
    on stakes.funnel_index = shares_taken.funnel_index
    and stakes.persona = shares_taken.persona
    and stakes.period = shares_taken.period
    and stakes.step_index = shares_taken.step_index
