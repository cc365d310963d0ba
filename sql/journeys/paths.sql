-- The ways that journeys took through the stages of each model.
-- Grain: model_index, persona, path.
with counts as (
    select model_index, persona, first_visits, later_visits, journey_count, converted_count
    from journeys._path_counts
),

stages as (
    select model_index, stage_index, stage
    from config.stages
),

places as (
    select visit_index
    from (
        values (1), (2), (3), (4), (5), (6), (7), (8), (9), (10), (11), (12), (13), (14), (15), (16), (17), (18), (19), (20)
    ) as numbers (visit_index)
),

codes_found as (
    select distinct model_index, first_visits, later_visits
    from counts
),

visits_unpacked as (
    select
        codes_found.model_index,
        codes_found.first_visits,
        codes_found.later_visits,
        places.visit_index,
        case
            when places.visit_index <= 10 then (codes_found.first_visits >> (6 * (places.visit_index - 1))) & 63
            else (codes_found.later_visits >> (6 * (places.visit_index - 11))) & 63
        end as stage_index
    from codes_found
    cross join places
),

paths_spelt as (
    select
        visits_unpacked.model_index,
        visits_unpacked.first_visits,
        visits_unpacked.later_visits,
        string_agg(stages.stage, ' > ' order by visits_unpacked.visit_index) as path
    from visits_unpacked
    inner join stages
        on stages.model_index = visits_unpacked.model_index
        and stages.stage_index = visits_unpacked.stage_index
    group by visits_unpacked.model_index, visits_unpacked.first_visits, visits_unpacked.later_visits
)

select
    counts.model_index,
    counts.persona,
    paths_spelt.path,
    counts.journey_count,
    counts.converted_count
from counts
inner join paths_spelt
    on paths_spelt.model_index = counts.model_index
    and paths_spelt.first_visits = counts.first_visits
    and paths_spelt.later_visits = counts.later_visits
