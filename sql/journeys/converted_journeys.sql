-- Journeys in which some goal was reached.
-- Grain: person_key, journey_index.
with goal_labels as (
    select distinct classifications.classification_key
    from kernel.classifications
    inner join config.event_type_predicates as predicates on predicates.event_type_ix = classifications.event_type_ix
    where predicates.is_true and predicates.predicate like 'goal/%'
)

select distinct kernel_events.person_key, kernel_events.journey_index
from kernel.events as kernel_events
inner join goal_labels on goal_labels.classification_key = kernel_events.classification_key
