-- Every counted attempt with the persona and the month it is reported under.
-- Grain: funnel_index, attempt_ix.
select
    units.funnel_index,
    units.attempt_ix,
    -- A unit has the persona of the journey that holds step 1 of its counted attempt.
    journeys.persona,
    substr(cast(units.entry_day as varchar), 1, 7) as period,
    units.entered_at,
    units.depth,
    units.is_pending,
    units.is_matured,
    units.is_tie_decided,
    units.is_in_order,
    units.order_pair_count,
    units.tied_pair_count
from kernel.funnel_units as units
inner join journeys.journey_facts as journeys
    on journeys.person_key = units.person_key
    and journeys.journey_index = units.journey_index
