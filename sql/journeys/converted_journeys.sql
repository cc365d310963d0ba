-- Journeys in which some goal was reached.
-- Grain: person_key, journey_index.
select distinct kernel_events.person_key, kernel_events.journey_index
from kernel.events as kernel_events
where kernel_events.classification_key in (
    select classification_key
    from journeys.predicate_classifications
    where predicate like 'goal/%'
)
