-- Journeys in which some goal was reached.
-- Grain: person_key, journey_index.
with kernel_events as (
    select person_key, journey_index, label_key
    from kernel.events
),

labels as (
    select label_key, kind_ix
    from kernel.labels
),

truths as (
    select kind_ix, predicate, is_true
    from config.kind_truths
),

goal_labels as (
    select distinct labels.label_key
    from labels
    inner join truths on truths.kind_ix = labels.kind_ix
    where truths.is_true and truths.predicate like 'goal/%'
)

select distinct kernel_events.person_key, kernel_events.journey_index
from kernel_events
inner join goal_labels on goal_labels.label_key = kernel_events.label_key
