-- Rules of journey models that put no event into their stage.
-- Grain: none; blind_spots adds up rows of one kind and subject.
with rules_used as (
    select model_index, rule_index
    from kernel.classifications
    group by model_index, rule_index
),

predicates_true as (
    select predicate
    from config.event_type_predicates as predicates
    group by predicate
),

rules_evaluated as (
    select
        rules.model,
        rules.rule_id,
        rules.rule_index,
        rules.stage,
        rules.has_history,
        rules_used.rule_index is null as is_idle,
        builtin_rules.rule_index is not null as is_builtin,
        predicates_true.predicate is not null as is_matched
    from config.rules
    left join rules_used
        on rules_used.model_index = rules.model_index
        and rules_used.rule_index = rules.rule_index
    left join config.builtin_rules
        on builtin_rules.model_index = rules.model_index
        and builtin_rules.rule_index = rules.rule_index
    left join predicates_true on predicates_true.predicate = concat('model/', rules.model, '/', rules.rule_id)
),

-- Built-in rules name many events that a company need not have: one row for all.
builtin_rules_summed as (
    select
        model,
        count(*) filter (where is_idle) as idle_count,
        count(*) as rule_count,
        string_agg(case when is_idle then rule_id end, ', ' order by rule_index) as idle_rules
    from rules_evaluated
    where is_builtin
    group by model
)

select
    'idle_rule' as kind,
    concat(model, ': built-in rules') as subject,
    'note' as severity,
    idle_count as item_count,
    cast(idle_count as double) / rule_count as share_rate,
    concat(
        idle_count, ' of ', rule_count, ' built-in rules of model ', model, ' put no event into a stage: ', idle_rules,
        '. Where the company does have such events, let `rename` of the source give them these names.'
    ) as detail
from builtin_rules_summed
where idle_count > 0

union all

select
    'idle_rule' as kind,
    concat(model, ': ', rule_id) as subject,
    'warning' as severity,
    1 as item_count,
    cast(null as double) as share_rate,
    concat(
        'Rule ', rule_id, ' of model ', model, ' puts no event into stage ', stage, ': ',
        case
            when not is_matched then 'no event satisfies its `when`. See the names and values in it.'
            when has_history then 'events satisfy its `when`, but never its `after` or `nth`, or an earlier rule takes them.'
            else 'a rule before it takes every event that satisfies its `when`.'
        end
    ) as detail
from rules_evaluated
where is_idle and not is_builtin
