-- Each person's latest journey and lifecycle state.
-- Grain: person_key.
select
    journeys.person_key,
    journeys.journey_index,
    journeys.persona,
    journeys.entered_at,
    journeys.last_event_at,
    journeys.is_open,
    case
        when persons.last_event_at <= settings.high_water_at - interval 90 day then 'lapsed'
        when persons.purchase_count >= 2 then 'repeat_buyer'
        when persons.purchase_count = 1 then 'buyer'
        when persons.session_count >= 2 then 'engaged'
        else 'first_time'
    end as lifecycle
from kernel.persons
-- Journeys are numbered from 1 without a gap, so the last number is the latest journey.
inner join journeys.journey_facts as journeys
    on journeys.person_key = persons.person_key
    and journeys.journey_index = persons.journey_count
cross join config.settings
