-- How many journeys of each persona went the same way, and how many of them reached a goal.
-- Grain: model_index, persona, first_visits, later_visits.
select
    codes.model_index,
    journeys.persona,
    codes.first_visits,
    codes.later_visits,
    count(*) as journey_count,
    count(converted_journeys.person_key) as converted_count
from journeys.path_codes as codes
inner join journeys.journey_facts as journeys
    on journeys.person_key = codes.person_key
    and journeys.journey_index = codes.journey_index
left join journeys.converted_journeys
    on converted_journeys.person_key = codes.person_key
    and converted_journeys.journey_index = codes.journey_index
group by codes.model_index, journeys.persona, codes.first_visits, codes.later_visits
