-- The events of goals and promises, which are few: what joins them to wide relations reads no others.
-- Grain: event_ix.
select
    kernel_events.event_ix,
    kernel_events.person_key,
    kernel_events.journey_index,
    kernel_events.session_ix,
    kernel_events.classification_key
from kernel.events as kernel_events
where kernel_events.classification_key in (
    select classification_key
    from journeys.predicate_classifications
    where predicate like 'goal/%' or predicate like 'promise/%'
)
