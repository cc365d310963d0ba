-- Every kind of event with its stage in each journey model and the rule that put it there.
-- Grain: model, kind_id, stage, rule_id.
with labels as (
    select
        model_index, kind_ix, stage_index, rule_index, event_count, first_seen_at, last_seen_at
    from kernel.labels
),

kind_persons as (
    select model_index, kind_ix, rule_index, person_count
    from kernel.kind_persons
),

kinds as (
    select kind_ix, kind_id, event_name, channel, touchpoint
    from journeys.event_kinds
),

models as (
    select model, model_index
    from config.models
),

stages as (
    select model_index, stage_index, stage
    from config.stages
),

rules as (
    select model_index, rule_index, rule_id, has_history
    from config.rules
),

labels_added_up as (
    select
        model_index,
        kind_ix,
        stage_index,
        rule_index,
        cast(sum(event_count) as bigint) as event_count,
        min(first_seen_at) as first_seen_at,
        max(last_seen_at) as last_seen_at
    from labels
    group by model_index, kind_ix, stage_index, rule_index
)

select
    models.model,
    kinds.kind_id,
    coalesce(stages.stage, 'unclassified') as stage,
    coalesce(rules.rule_id, 'none') as rule_id,
    kinds.event_name,
    kinds.channel,
    kinds.touchpoint,
    case
        when rules.rule_id is null then 'none'
        when rules.has_history then 'inferred'
        else 'rule'
    end as evidence,
    labels_added_up.event_count,
    kind_persons.person_count,
    labels_added_up.first_seen_at,
    labels_added_up.last_seen_at
from labels_added_up
inner join kind_persons
    on kind_persons.model_index = labels_added_up.model_index
    and kind_persons.kind_ix = labels_added_up.kind_ix
    and kind_persons.rule_index = labels_added_up.rule_index
inner join kinds on kinds.kind_ix = labels_added_up.kind_ix
inner join models on models.model_index = labels_added_up.model_index
left join stages
    on stages.model_index = labels_added_up.model_index
    and stages.stage_index = labels_added_up.stage_index
left join rules
    on rules.model_index = labels_added_up.model_index
    and rules.rule_index = labels_added_up.rule_index
