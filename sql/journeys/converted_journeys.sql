-- Journeys in which some goal was reached.
-- Grain: person_key, journey_index.
with goal_labels as (
    select distinct labels.classification_key
    from kernel.classifications as labels
    inner join config.event_type_predicates as truths on truths.event_type_ix = labels.event_type_ix
    where truths.is_true and truths.predicate like 'goal/%'
)

select distinct kernel_events.person_key, kernel_events.journey_index
from kernel.events as kernel_events
inner join goal_labels on goal_labels.classification_key = kernel_events.classification_key
