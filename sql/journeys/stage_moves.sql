-- Every stage visit with the stage that followed it, or how the journey ended there.
-- Grain: model_index, person_key, journey_index, visit_index.
select
    visits.model_index,
    visits.person_key,
    visits.journey_index,
    visits.visit_index,
    journeys.persona,
    visits.stage_index,
    visits.next_stage_index,
    visits.is_next_tied,
    visits.next_stage_index is null and journeys.is_open as is_open,
    cast(date_diff('microsecond', visits.entered_at, coalesce(visits.left_at, visits.last_seen_at)) as double) / 1000000
        as stay_seconds
from kernel.stage_visits as visits
inner join journeys.journey_facts as journeys
    on journeys.person_key = visits.person_key
    and journeys.journey_index = visits.journey_index
