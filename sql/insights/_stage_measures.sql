-- What stages of the map measure, in the measures that people can wish for.
-- Grain: model_index, persona, period, stage_index, measure.
with stages as (
    select model, model_index, stage, stage_index
    from config.stages
),

map_stages as (
    select model, persona, period, stage_index, matured_count
    from marts.map_stages
),

-- Every journey on the map has reached the first stage. Pending journeys may still go on, so rates are of the matured.
entries as (
    select model, persona, period, matured_count
    from map_stages
    where stage_index = 1
),

reaches_measured as (
    select
        stages.model_index,
        map_stages.persona,
        map_stages.period,
        map_stages.stage_index,
        entries.matured_count as base_count,
        cast(map_stages.matured_count as double) / entries.matured_count as measured,
        cast(entries.matured_count as double) as n,
        -- Squared, the 97.5 % quantile of the normal distribution.
        3.841458820694124 as z2
    from entries
    cross join config.settings
    inner join map_stages
        on map_stages.model = entries.model
        and map_stages.persona = entries.persona
        and map_stages.period = entries.period
    inner join stages
        on stages.model = map_stages.model
        and stages.stage_index = map_stages.stage_index
    where entries.matured_count >= settings.min_count
        and entries.matured_count > 0
)

select
    model_index,
    persona,
    period,
    stage_index,
    'reach_rate' as measure,
    base_count,
    measured,
    -- Rounding must not leave the range of a rate.
    greatest(
        0.0, (measured + z2 / (2 * n) - sqrt(z2 * (measured * (1 - measured) / n + z2 / (4 * n * n)))) / (1 + z2 / n)
    ) as measured_low,
    least(
        1.0, (measured + z2 / (2 * n) + sqrt(z2 * (measured * (1 - measured) / n + z2 / (4 * n * n)))) / (1 + z2 / n)
    ) as measured_high,
    'observed' as evidence
from reaches_measured

union all

select
    stages.model_index,
    steps.persona,
    steps.period,
    stages.stage_index,
    'p50_time' as measure,
    cast(null as bigint) as base_count,
    steps.p50_seconds_to_next as measured,
    cast(null as double) as measured_low,
    cast(null as double) as measured_high,
    'observed' as evidence
from marts.funnel_steps as steps
inner join stages
    on stages.model = steps.funnel
    and stages.stage = steps.step
where steps.kind = 'stages' and not steps.is_small and steps.p50_seconds_to_next is not null

union all

select
    stages.model_index,
    sentiments.persona,
    sentiments.period,
    stages.stage_index,
    'sentiment' as measure,
    sentiments.answer_count as base_count,
    sentiments.sentiment as measured,
    sentiments.sentiment_low as measured_low,
    sentiments.sentiment_high as measured_high,
    sentiments.evidence
from marts.stage_sentiment as sentiments
inner join stages
    on stages.model = sentiments.model
    and stages.stage = sentiments.stage
where sentiments.sentiment is not null
