-- Journeys in which some goal was reached.
-- Grain: person_key, journey_index.
with kernel_events as (
    select person_key, journey_index, classification_key
    from kernel.events
),

labels as (
    select classification_key, event_type_ix
    from kernel.classifications
),

truths as (
    select event_type_ix, predicate, is_true
    from config.event_type_predicates
),

goal_labels as (
    select distinct labels.classification_key
    from labels
    inner join truths on truths.event_type_ix = labels.event_type_ix
    where truths.is_true and truths.predicate like 'goal/%'
)

select distinct kernel_events.person_key, kernel_events.journey_index
from kernel_events
inner join goal_labels on goal_labels.classification_key = kernel_events.classification_key
