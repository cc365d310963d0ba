-- How many journeys of each persona went the same way, and how many of them reached a goal.
-- Grain: model_index, persona, first_visits, later_visits.
with codes as (
    select model_index, person_key, journey_index, first_visits, later_visits
    from journeys._path_codes
),

journeys as (
    select person_key, journey_index, persona
    from journeys.journey_facts
),

converted_journeys as (
    select person_key, journey_index
    from journeys.converted_journeys
)

select
    codes.model_index,
    journeys.persona,
    codes.first_visits,
    codes.later_visits,
    count(*) as journey_count,
    count(converted_journeys.person_key) as converted_count
from codes
inner join journeys
    on journeys.person_key = codes.person_key
    and journeys.journey_index = codes.journey_index
left join converted_journeys
    on converted_journeys.person_key = codes.person_key
    and converted_journeys.journey_index = codes.journey_index
group by codes.model_index, journeys.persona, codes.first_visits, codes.later_visits
