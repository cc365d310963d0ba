-- Promise against delivery: how often promises were kept, and what people did next where they were and were not.
-- Grain: promise, persona, period.
with promises_counted as (
    select
        promises.promise,
        promises.kind,
        promises.model,
        promises.stage,
        promises.target,
        promises.is_at_most,
        counts.persona,
        counts.period,
        counts.due_count,
        counts.kept_count,
        counts.broken_count,
        counts.pending_count,
        counts.matured_count,
        counts.matured_kept_count,
        counts.broken_person_count,
        counts.first_broken_at,
        -- Of too few, only the number is published.
        counts.matured_count < settings.min_count as is_small,
        cast(counts.matured_kept_count as double) / nullif(counts.matured_count, 0) as kept_rate,
        intervals.kept_low,
        intervals.kept_high,
        counts.mean_score,
        coalesce(next_stages.kept_journey_count, 0) as kept_journey_count,
        coalesce(next_stages.kept_next_count, 0) as kept_next_count,
        coalesce(next_stages.broken_journey_count, 0) as broken_journey_count,
        coalesce(next_stages.broken_next_count, 0) as broken_next_count,
        settings.min_count
    from map.promise_counts as counts
    inner join config.promises on promises.promise_index = counts.promise_index
    inner join statistics.promise_intervals as intervals
        on intervals.promise_index = counts.promise_index
        and intervals.persona = counts.persona
        and intervals.period = counts.period
    cross join config.settings
    left join map.promise_next_stage as next_stages
        on next_stages.promise_index = counts.promise_index
        and next_stages.persona = counts.persona
        and next_stages.period = counts.period
),

promises_measured as (
    select
        promise, kind, model, stage, target, is_at_most, persona, period,
        due_count, kept_count, broken_count, pending_count, matured_count, matured_kept_count, broken_person_count,
        first_broken_at, is_small,
        case when not is_small then kept_rate end as kept_rate,
        case when not is_small then kept_low end as kept_low,
        case when not is_small then kept_high end as kept_high,
        case when is_small then null when kind = 'timed' then kept_rate else mean_score end as measured,
        kept_journey_count, kept_next_count, broken_journey_count, broken_next_count,
        case when kept_journey_count >= min_count then cast(kept_next_count as double) / kept_journey_count end
            as next_stage_rate_kept,
        case when broken_journey_count >= min_count then cast(broken_next_count as double) / broken_journey_count end
            as next_stage_rate_broken
    from promises_counted
)

select
    promise,
    persona,
    period,
    model,
    stage,
    kind,
    due_count,
    kept_count,
    broken_count,
    pending_count,
    matured_count,
    matured_kept_count,
    kept_rate,
    kept_low,
    kept_high,
    target,
    measured,
    case when is_at_most then measured - target else target - measured end as gap,
    first_broken_at,
    broken_person_count,
    kept_journey_count,
    kept_next_count,
    broken_journey_count,
    broken_next_count,
    next_stage_rate_kept,
    next_stage_rate_broken,
    is_small
from promises_measured
