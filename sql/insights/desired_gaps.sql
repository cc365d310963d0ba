-- What a stage should measure for a persona, beside what it does measure.
-- Grain: model, persona, period, stage, measure.
with wishes_placed as (
    select
        stages.model, stages.model_index, desired.persona, stages.stage, stages.stage_index, desired.measure, desired.desired
    from config.desired
    inner join config.stages on stages.stage = desired.stage
),

-- A target for people who never came is listed for the whole time, as unknown.
wishes_dated as (
    select model, model_index, persona, stage, stage_index, measure, desired, 'all' as period
    from wishes_placed

    union

    select
        wishes.model, wishes.model_index, wishes.persona, wishes.stage, wishes.stage_index, wishes.measure, wishes.desired,
        bases.period
    from wishes_placed as wishes
    inner join map.stage_bases as bases
        on bases.model_index = wishes.model_index
        and bases.persona = wishes.persona
        and bases.stage_index = wishes.stage_index
)

select
    wishes.model,
    wishes.persona,
    wishes.period,
    wishes.stage,
    wishes.measure,
    wishes.desired,
    measures.measured,
    measures.measured_low,
    measures.measured_high,
    measures.measured - wishes.desired as gap,
    case wishes.measure when 'p50_time' then 'seconds' when 'sentiment' then 'score' else 'rate' end as unit,
    measures.base_count,
    coalesce(measures.evidence, 'unknown') as evidence
from wishes_dated as wishes
left join insights._stage_measures as measures
    on measures.model_index = wishes.model_index
    and measures.persona = wishes.persona
    and measures.period = wishes.period
    and measures.stage_index = wishes.stage_index
    and measures.measure = wishes.measure
