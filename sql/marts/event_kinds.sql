-- Every kind of event with its stage in each journey model and the rule that put it there.
-- Grain: model, kind_id, stage, rule_id.
with labels_added_up as (
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
    labels_added_up.event_count,
    event_type_persons.person_count,
    labels_added_up.first_seen_at,
    labels_added_up.last_seen_at
from labels_added_up
inner join kernel.event_type_persons
    on event_type_persons.model_index = labels_added_up.model_index
    and event_type_persons.event_type_ix = labels_added_up.event_type_ix
    and event_type_persons.rule_index = labels_added_up.rule_index
inner join journeys.event_types on event_types.event_type_ix = labels_added_up.event_type_ix
inner join config.models on models.model_index = labels_added_up.model_index
left join config.stages
    on stages.model_index = labels_added_up.model_index
    and stages.stage_index = labels_added_up.stage_index
left join config.rules
    on rules.model_index = labels_added_up.model_index
    and rules.rule_index = labels_added_up.rule_index
