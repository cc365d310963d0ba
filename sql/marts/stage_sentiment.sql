-- How people feel in each stage, by the best that is known of it: what they answered, what they wrote, what they did.
-- Grain: model, persona, period, stage.
with feelings as (
    select
        model_index, persona, period, stage_index, basis, method,
        answer_count, sentiment, sentiment_low, sentiment_high
    from statistics.stage_sentiment
),

cells_wanted as (
    select model_index, persona, period, stage_index
    from map.stage_bases as bases
    union
    select model_index, persona, period, stage_index
    from feelings
),

feelings_ranked as (
    select
        model_index, persona, period, stage_index, basis, method,
        answer_count, sentiment, sentiment_low, sentiment_high,
        row_number() over (
            partition by model_index, persona, period, stage_index
            order by case basis when 'score' then 1 when 'text' then 2 else 3 end, basis
        ) as basis_rank
    from feelings
)

select
    stages.model,
    cells_wanted.persona,
    cells_wanted.period,
    stages.stage,
    -- Of too few, only the number is published.
    case when feelings_ranked.answer_count >= settings.min_count then feelings_ranked.sentiment end as sentiment,
    case when feelings_ranked.answer_count >= settings.min_count then feelings_ranked.sentiment_low end as sentiment_low,
    case when feelings_ranked.answer_count >= settings.min_count then feelings_ranked.sentiment_high end
        as sentiment_high,
    coalesce(feelings_ranked.answer_count, 0) as answer_count,
    case
        when feelings_ranked.basis is null then 'unknown'
        when feelings_ranked.basis = 'score' then 'observed'
        else 'inferred'
    end as evidence,
    feelings_ranked.method
from cells_wanted
inner join config.stages
    on stages.model_index = cells_wanted.model_index
    and stages.stage_index = cells_wanted.stage_index
cross join config.settings
left join feelings_ranked
    on feelings_ranked.model_index = cells_wanted.model_index
    and feelings_ranked.persona = cells_wanted.persona
    and feelings_ranked.period = cells_wanted.period
    and feelings_ranked.stage_index = cells_wanted.stage_index
    and feelings_ranked.basis_rank = 1
