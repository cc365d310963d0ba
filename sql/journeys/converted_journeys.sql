-- Journeys in which some goal was reached.
-- Grain: person_key, journey_index.
select distinct labelled_events.person_key, labelled_events.journey_index
from journeys.labelled_events
where labelled_events.classification_key in (
    select classification_key
    from journeys.predicate_classifications
    where predicate like 'goal/%'
)
