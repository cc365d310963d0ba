-- Every event type with its stage in each journey model and the rule that put it there.
-- Grain: model, kind_id, stage, rule_id.
with classifications_summed as (
    select
        model_index,
        event_type_ix,
        stage_index,
        rule_index,
        cast(sum(event_count) as bigint) as event_count,
        min(first_seen_at) as first_seen_at,
        max(last_seen_at) as last_seen_at
    from kernel.classifications
    group by model_index, event_type_ix, stage_index, rule_index
)

select
    models.model,
    event_types.kind_id,
    coalesce(stages.stage, 'unclassified') as stage,
    coalesce(rules.rule_id, 'none') as rule_id,
    event_types.event_name,
    event_types.channel,
    event_types.touchpoint,
    case
        when rules.rule_id is null then 'none'
        when rules.has_history then 'inferred'
        else 'rule'
    end as evidence,
    classifications_summed.event_count,
    event_type_persons.person_count,
    classifications_summed.first_seen_at,
    classifications_summed.last_seen_at
from classifications_summed
inner join kernel.event_type_persons
    on event_type_persons.model_index = classifications_summed.model_index
    and event_type_persons.event_type_ix = classifications_summed.event_type_ix
    and event_type_persons.rule_index = classifications_summed.rule_index
inner join journeys.event_types on event_types.event_type_ix = classifications_summed.event_type_ix
inner join config.models on models.model_index = classifications_summed.model_index
left join config.stages
    on stages.model_index = classifications_summed.model_index
    and stages.stage_index = classifications_summed.stage_index
left join config.rules
    on rules.model_index = classifications_summed.model_index
    and rules.rule_index = classifications_summed.rule_index
