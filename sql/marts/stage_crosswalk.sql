-- Events by their stages in each pair of journey models, both ways round.
-- Grain: model, stage, other_model, other_stage.
with stages_named as (
    select
        classifications.classification_key,
        models.model,
        coalesce(stages.stage, 'unclassified') as stage,
        classifications.event_count
    from kernel.classifications
    inner join config.models on models.model_index = classifications.model_index
    left join config.stages
        on stages.model_index = classifications.model_index
        and stages.stage_index = classifications.stage_index
)

select
    stages_named.model,
    stages_named.stage,
    others.model as other_model,
    others.stage as other_stage,
    cast(sum(stages_named.event_count) as bigint) as event_count
from stages_named
inner join stages_named as others
    on others.classification_key = stages_named.classification_key
    and others.model <> stages_named.model
group by stages_named.model, stages_named.stage, others.model, others.stage
