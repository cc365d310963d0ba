-- What tables say of every journey: its persona, its times and whether it is over.
-- Grain: person_key, journey_index.
select
    journeys.person_key,
    journeys.journey_index,
    coalesce(personas.persona, 'unassigned') as persona,
    journeys.entered_at,
    journeys.last_event_at,
    -- An event right now would still belong to the journey: only a gap above the timeout ends it.
    date_diff('microsecond', journeys.last_event_at, settings.high_water_at)
        <= settings.journeys_timeout_us as is_open
from kernel.journeys
cross join config.settings
left join journeys.personas
    on personas.person_key = journeys.person_key
    and personas.journey_index = journeys.journey_index
