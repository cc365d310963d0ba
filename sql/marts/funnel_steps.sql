-- Every step of every funnel: who reached it, who went on, who may still, who left.
-- Grain: funnel, persona, period, step_index.
with counts as (
    select
        funnel_index, persona, period, step_index, person_count, next_count, pending_count, matured_entered_count,
        matured_before_count, matured_count, matured_next_count, tie_decided_count, matured_in_order_count,
        matured_order_known_count, matured_order_pair_count, matured_tied_pair_count
    from funnels.funnel_step_counts
),

funnels as (
    select funnel, funnel_index, kind, unit, step_count
    from config.funnels
),

outcomes_named as (
    select
        counts.funnel_index,
        counts.persona,
        counts.period,
        counts.step_index,
        counts.step_index = funnels.step_count as is_last,
        funnels.kind = 'stages' as is_stages,
        counts.person_count - counts.next_count - counts.pending_count as left_count,
        counts.matured_count - counts.matured_next_count as matured_left_count
    from counts
    inner join funnels on funnels.funnel_index = counts.funnel_index
)

select
    funnels.funnel,
    counts.persona,
    counts.period,
    counts.step_index,
    steps.step,
    funnels.kind,
    funnels.unit,
    counts.person_count,
    -- The last step has no next one: all units there have converted, and the other outcomes do not apply.
    case when outcomes.is_last then counts.person_count else counts.next_count end as converted_count,
    case when not outcomes.is_last then outcomes.left_count end as drop_off_count,
    case when not outcomes.is_last then counts.pending_count end as pending_count,
    counts.matured_count,
    case when outcomes.is_last then counts.matured_count else counts.matured_next_count end as matured_next_count,
    cast(counts.matured_count as double) / nullif(counts.matured_entered_count, 0) as conversion_rate,
    case
        when counts.step_index > 1 then cast(counts.matured_count as double) / nullif(counts.matured_before_count, 0)
    end as step_conversion_rate,
    case
        when not outcomes.is_last then cast(outcomes.matured_left_count as double) / nullif(counts.matured_count, 0)
    end as drop_off_rate,
    case when not outcomes.is_last then intervals.drop_off_rate_low end as drop_off_rate_low,
    case when not outcomes.is_last then intervals.drop_off_rate_high end as drop_off_rate_high,
    survival.km_conversion_rate,
    case when outcomes.is_stages then coalesce(times.visited_count, 0) end as visited_count,
    case when outcomes.is_stages then counts.person_count - coalesce(times.visited_count, 0) end as skipped_count,
    -- Where most pairs tie, the model's order was given to them and is no finding.
    case
        when outcomes.is_stages and 2 * counts.matured_tied_pair_count <= counts.matured_order_pair_count
            then cast(counts.matured_in_order_count as double) / nullif(counts.matured_order_known_count, 0)
    end as in_order_rate,
    times.p10_seconds_to_next,
    times.p50_seconds_to_next,
    times.p90_seconds_to_next,
    counts.tie_decided_count,
    try_cast(outcomes.left_count * stakes.value_per_drop_off_amount as decimal(18, 4)) as value_at_stake_amount,
    settings.report_currency as currency,
    -- Nothing is divided by who reached the last step: its rates have the step before as their base.
    case when outcomes.is_last then counts.matured_before_count else counts.matured_count end
    < settings.min_count as is_small,
    coalesce(personas.is_outcome_based, false) as is_outcome_based,
    coalesce(personas.is_trait_undated, false) as is_trait_undated
from counts
inner join outcomes_named as outcomes
    on outcomes.funnel_index = counts.funnel_index
    and outcomes.persona = counts.persona
    and outcomes.period = counts.period
    and outcomes.step_index = counts.step_index
inner join funnels on funnels.funnel_index = counts.funnel_index
inner join config.funnel_steps as steps
    on steps.funnel_index = counts.funnel_index
    and steps.step_index = counts.step_index
cross join config.settings
left join config.personas on personas.persona = counts.persona
left join funnels.funnel_step_times as times
    on times.funnel_index = counts.funnel_index
    and times.persona = counts.persona
    and times.period = counts.period
    and times.step_index = counts.step_index
left join funnels.funnel_stakes as stakes
    on stakes.funnel_index = counts.funnel_index
    and stakes.persona = counts.persona
    and stakes.period = counts.period
    and stakes.step_index = counts.step_index
left join statistics.step_intervals as intervals
    on intervals.funnel_index = counts.funnel_index
    and intervals.persona = counts.persona
    and intervals.period = counts.period
    and intervals.step_index = counts.step_index
left join statistics.step_survival as survival
    on survival.funnel_index = counts.funnel_index
    and survival.persona = counts.persona
    and survival.period = counts.period
    and survival.step_index = counts.step_index
