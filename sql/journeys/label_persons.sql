-- People who did an event kind under a rule, where several labels mean the same and their counts of people cannot be added.
-- Grain: model_index, kind_ix, rule_index.
with labels as (
    select label_key, model_index, kind_ix, rule_index
    from kernel.labels
),

kernel_events as (
    select person_key, label_key
    from kernel.events
),

-- A rule with history splits a kind: with several models one rule of the one may meet several of the other.
splits_found as (
    select model_index, kind_ix, rule_index
    from labels
    group by model_index, kind_ix, rule_index
    having count(*) > 1
),

labels_chosen as (
    select labels.label_key, labels.model_index, labels.kind_ix, labels.rule_index
    from labels
    inner join splits_found
        on splits_found.model_index = labels.model_index
        and splits_found.kind_ix = labels.kind_ix
        and splits_found.rule_index = labels.rule_index
),

persons_found as (
    select distinct kernel_events.label_key, kernel_events.person_key
    from kernel_events
    where kernel_events.label_key in (select label_key from labels_chosen)
)

select
    labels_chosen.model_index,
    labels_chosen.kind_ix,
    labels_chosen.rule_index,
    count(distinct persons_found.person_key) as person_count
from labels_chosen
inner join persons_found on persons_found.label_key = labels_chosen.label_key
group by labels_chosen.model_index, labels_chosen.kind_ix, labels_chosen.rule_index
