-- What slices the units of a journey: its persona, and the channel of its first event.
-- Grain: person_key, journey_index.
select
    journeys.person_key,
    journeys.journey_index,
    facts.persona,
    -- A channel of this name would be taken for the total.
    case when event_types.channel = 'all' then 'channel all' else event_types.channel end as channel
from kernel.journeys as journeys
inner join journeys.journey_facts as facts
    on facts.person_key = journeys.person_key
    and facts.journey_index = journeys.journey_index
inner join journeys.event_types on event_types.event_type_ix = journeys.first_event_type_ix
