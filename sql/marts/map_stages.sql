-- Every stage of the map: who reached it, who was seen in it, who went on, who may still, who left.
-- Grain: model, persona, period, stage.
with stages as (
    select model, model_index, stage, stage_index, is_repeat
    from config.stages
),

last_stages as (
    select model_index, max(stage_index) as stage_index
    from stages
    group by model_index
),

stages_marked as (
    select
        stages.model_index,
        stages.stage_index,
        stages.model,
        stages.stage,
        stages.is_repeat,
        stages.stage_index = last_stages.stage_index as is_last
    from stages
    inner join last_stages on last_stages.model_index = stages.model_index
)

select
    stages_marked.model,
    bases.persona,
    bases.period,
    stages_marked.stage,
    stages_marked.stage_index,
    bases.person_count,
    bases.visited_count,
    bases.person_count - bases.visited_count as skipped_count,
    bases.converted_count,
    case when not stages_marked.is_last then bases.person_count - bases.converted_count - bases.pending_count end
        as drop_off_count,
    case when not stages_marked.is_last then bases.pending_count end as pending_count,
    bases.matured_count,
    bases.matured_next_count,
    case
        when not stages_marked.is_last
            then cast(bases.matured_count - bases.matured_next_count as double) / nullif(bases.matured_count, 0)
    end as drop_off_rate,
    case when not stages_marked.is_last then intervals.drop_off_rate_low end as drop_off_rate_low,
    case when not stages_marked.is_last then intervals.drop_off_rate_high end as drop_off_rate_high,
    bases.matured_count < settings.min_count as is_small,
    coalesce(stages_marked.is_repeat, false) as is_repeat
from map.stage_bases as bases
inner join stages_marked
    on stages_marked.model_index = bases.model_index
    and stages_marked.stage_index = bases.stage_index
cross join config.settings
left join statistics.stage_intervals as intervals
    on intervals.model_index = bases.model_index
    and intervals.persona = bases.persona
    and intervals.period = bases.period
    and intervals.stage_index = bases.stage_index
