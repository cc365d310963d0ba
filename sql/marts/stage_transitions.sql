-- Where people went from each stage, the end of the journey included.
-- Grain: model, persona, from_stage, to_stage.
with stages as (
    select model_index, stage_index, stage
    from config.stages
),

moves_counted as (
    select
        model_index,
        coalesce(persona, 'all') as persona,
        stage_index,
        next_stage_index,
        is_open,
        count(*) as transition_count,
        count(*) filter (where is_next_tied) as tied_count,
        -- Rounded to the microsecond: between equal values interpolation may miss them by the last digit.
        round(quantile_cont(stay_seconds, 0.5), 6) as p50_seconds
    from journeys.stage_moves as moves
    group by grouping sets (
        (model_index, stage_index, next_stage_index, is_open, persona),
        (model_index, stage_index, next_stage_index, is_open)
    )
),

-- A visit that is still open has not ended, and is in no rate.
endings_totalled as (
    select model_index, persona, stage_index, sum(transition_count) filter (where not is_open) as ended_count
    from moves_counted
    group by model_index, persona, stage_index
)

select
    models.model,
    moves_counted.persona,
    stages.stage as from_stage,
    case
        when moves_counted.is_open then 'open'
        else coalesce(next_stages.stage, 'exit')
    end as to_stage,
    moves_counted.transition_count,
    case
        when not moves_counted.is_open
            then cast(moves_counted.transition_count as double) / cast(endings_totalled.ended_count as double)
    end as transition_rate,
    -- Between events of one instant the model's order is given, not observed: most of them tell no direction.
    case
        when 2 * moves_counted.tied_count <= moves_counted.transition_count
            then coalesce(moves_counted.next_stage_index < moves_counted.stage_index, false)
    end as is_backward,
    moves_counted.p50_seconds
from moves_counted
inner join endings_totalled
    on endings_totalled.model_index = moves_counted.model_index
    and endings_totalled.persona = moves_counted.persona
    and endings_totalled.stage_index = moves_counted.stage_index
inner join config.models on models.model_index = moves_counted.model_index
inner join stages
    on stages.model_index = moves_counted.model_index
    and stages.stage_index = moves_counted.stage_index
left join stages as next_stages
    on next_stages.model_index = moves_counted.model_index
    and next_stages.stage_index = moves_counted.next_stage_index
