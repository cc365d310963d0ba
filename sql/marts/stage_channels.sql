-- Through which channels people are at each stage, online and offline side by side.
-- Grain: model, persona, period, stage, channel.
with exposures as (
    select exposure_ix, subject as channel
    from map.exposures
    where exposure_kind = 'channel'
),

shares_taken as (
    select
        counts.model_index,
        counts.persona,
        counts.period,
        counts.stage_index,
        exposures.channel,
        counts.person_count,
        counts.touch_count,
        cast(counts.touch_count as double) / sum(counts.touch_count) over (
            partition by counts.model_index, counts.persona, counts.period, counts.stage_index
        ) as share_rate
    from map.exposure_counts as counts
    inner join exposures on exposures.exposure_ix = counts.exposure_ix
)

select
    stages.model,
    shares_taken.persona,
    shares_taken.period,
    stages.stage,
    shares_taken.channel,
    shares_taken.person_count,
    bases.visited_count,
    cast(shares_taken.person_count as double) / nullif(bases.visited_count, 0) as reach_rate,
    shares_taken.touch_count,
    shares_taken.share_rate
from shares_taken
inner join config.stages
    on stages.model_index = shares_taken.model_index
    and stages.stage_index = shares_taken.stage_index
inner join map.stage_bases as bases
    on bases.model_index = shares_taken.model_index
    and bases.persona = shares_taken.persona
    and bases.period = shares_taken.period
    and bases.stage_index = shares_taken.stage_index
