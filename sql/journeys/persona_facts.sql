-- What persona rules read of a journey beside traits, counts of events and conditions on its first event.
-- Grain: person_key, journey_index.
select
    journeys.person_key,
    journeys.journey_index,
    journeys.entered_at,
    journeys.first_event_type_ix,
    persons.session_count,
    -- Whole days of exact elapsed time, not boundaries of calendar days.
    cast(
        floor(date_diff('microsecond', persons.last_event_at, settings.high_water_at) / 86400000000.0) as bigint
    ) as days_since_last
from kernel.journeys
inner join kernel.persons on persons.person_key = journeys.person_key
cross join config.settings
