-- Where journeys begin: a table of the shop's own, as an example to copy from.
-- Grain: persona, first_touchpoint.
with journeys as (
    select person_key, journey_index, first_event_type_ix
    from kernel.journeys
),

journey_facts as (
    select person_key, journey_index, persona
    from journeys.journey_facts
),

event_kinds as (
    select event_type_ix, touchpoint
    from journeys.event_types
),

first_touches_named as (
    select
        journey_facts.persona,
        event_kinds.touchpoint as first_touchpoint
    from journeys
    inner join journey_facts
        on journey_facts.person_key = journeys.person_key
        and journey_facts.journey_index = journeys.journey_index
    inner join event_kinds on event_kinds.event_type_ix = journeys.first_event_type_ix
),

journeys_counted as (
    select
        coalesce(persona, 'all') as persona,
        first_touchpoint,
        count(*) as journey_count
    from first_touches_named
    group by grouping sets ((persona, first_touchpoint), (first_touchpoint))
),

personas_totalled as (
    select persona, sum(journey_count) as persona_journey_count
    from journeys_counted
    group by persona
)

select
    journeys_counted.persona,
    journeys_counted.first_touchpoint,
    journeys_counted.journey_count,
    cast(journeys_counted.journey_count as double) / cast(personas_totalled.persona_journey_count as double) as share_rate
from journeys_counted
inner join personas_totalled on personas_totalled.persona = journeys_counted.persona
