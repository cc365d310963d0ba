-- Provisional: the columns of opportunities, no row.
-- Grain: model, persona, period, opportunity_rank.
select
    stages.model,
    pains.persona,
    pains.period,
    cast(null as bigint) as opportunity_rank,
    stages.stage,
    cast(null as varchar) as origin,
    pains.kind,
    pains.grade,
    pains.subject,
    pains.slice,
    pains.first_day,
    pains.last_day,
    pains.person_count,
    pains.lost_count,
    pains.lost_low,
    pains.lost_high,
    cast(null as decimal(18, 4)) as worth_amount,
    cast(null as decimal(18, 4)) as worth_low,
    cast(null as decimal(18, 4)) as worth_high,
    cast(null as decimal(18, 4)) as worth_alone_amount,
    cast(null as bigint) as overlap_count,
    cast(null as double) as sentiment_effect,
    cast(null as varchar) as currency,
    stages.owner,
    pains.headline
from config.stages as stages
inner join insights.pain_points as pains on pains.model = stages.model
where false
