-- Opportunities in order: pain points and broken promises in one list, by what fixing them is worth.
-- Grain: model, persona, period, opportunity_rank.
with pain_points as (
    select model, persona, period, pain_rank, stage, pain_point, kind, person_count, lost_count, lost_low, lost_high
    from insights.pain_points
),

settings as (
    select min_count, report_currency
    from config.settings
),

promises_broken as (
    select
        promises.model,
        promises.persona,
        promises.period,
        promises.stage,
        promises.promise,
        promises.broken_person_count,
        -- Only who could still go on, and no longer can, is lost.
        promises.broken_journey_count,
        -- No one was lost where those whose promise was broken went on more often; below `min_count` nothing is known.
        case
            when promises.next_stage_rate_kept is not null and promises.next_stage_rate_broken is not null then 1
        end as is_known,
        greatest(intervals.next_stage_excess, 0) as lost_rate,
        greatest(intervals.next_stage_excess_low, 0) as lost_rate_low,
        greatest(intervals.next_stage_excess_high, 0) as lost_rate_high
    from marts.promises
    inner join config.promises as promise_names on promise_names.promise = promises.promise
    inner join statistics.promise_intervals as intervals
        on intervals.promise_index = promise_names.promise_index
        and intervals.persona = promises.persona
        and intervals.period = promises.period
    cross join settings
    where promises.broken_person_count >= settings.min_count
),

items_gathered as (
    select
        model, persona, period, stage, 'pain_point' as origin, kind, pain_point as subject,
        pain_rank, person_count, lost_count, lost_low, lost_high
    from pain_points
    union all
    select
        model, persona, period, stage, 'promise' as origin, 'promise' as kind, promise as subject,
        cast(null as bigint) as pain_rank, broken_person_count as person_count,
        cast(round(is_known * broken_journey_count * lost_rate) as bigint) as lost_count,
        cast(round(is_known * broken_journey_count * lost_rate_low) as bigint) as lost_low,
        cast(round(is_known * broken_journey_count * lost_rate_high) as bigint) as lost_high
    from promises_broken
),

items_valued as (
    select
        items_gathered.model,
        items_gathered.persona,
        items_gathered.period,
        items_gathered.stage,
        items_gathered.origin,
        items_gathered.kind,
        items_gathered.subject,
        items_gathered.pain_rank,
        items_gathered.person_count,
        items_gathered.lost_count,
        items_gathered.lost_low,
        items_gathered.lost_high,
        -- Where those who went on brought no more than the others, winning a person back has no known worth.
        case when gains.gain_amount > 0 then gains.gain_amount end as gain_amount,
        stages.owner
    from items_gathered
    inner join config.stages
        on stages.model = items_gathered.model
        and stages.stage = items_gathered.stage
    left join map.stage_value_uplift as gains
        on gains.model_index = stages.model_index
        and gains.persona = items_gathered.persona
        and gains.period = items_gathered.period
        and gains.stage_index = stages.stage_index
),

items_worth as (
    select
        model, persona, period, stage, origin, kind, subject, pain_rank, person_count, lost_count,
        lost_low, lost_high,
        cast(lost_count * gain_amount as decimal(18, 4)) as worth_amount,
        cast(lost_low * gain_amount as decimal(18, 4)) as worth_low,
        cast(lost_high * gain_amount as decimal(18, 4)) as worth_high,
        owner
    from items_valued
)

select
    items_worth.model,
    items_worth.persona,
    items_worth.period,
    row_number() over (
        partition by items_worth.model, items_worth.persona, items_worth.period
        order by
            items_worth.worth_amount desc nulls last, items_worth.lost_count desc nulls last, items_worth.subject,
            items_worth.origin, items_worth.pain_rank
    ) as opportunity_rank,
    items_worth.stage,
    items_worth.origin,
    items_worth.kind,
    items_worth.subject,
    items_worth.person_count,
    items_worth.lost_count,
    items_worth.lost_low,
    items_worth.lost_high,
    items_worth.worth_amount,
    items_worth.worth_low,
    items_worth.worth_high,
    settings.report_currency as currency,
    items_worth.owner
from items_worth
cross join settings
