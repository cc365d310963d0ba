-- The ways that journeys took through the stages of each model: the most frequent by name, all rarer ones in one row.
-- Grain: model_index, persona, is_rare, path.
with places as (
    select visit_index
    from (
        values (1), (2), (3), (4), (5), (6), (7), (8), (9), (10), (11), (12), (13), (14), (15), (16), (17), (18), (19), (20)
    ) as numbers (visit_index)
),

personas_counted as (
    select
        model_index,
        coalesce(persona, 'all') as persona,
        first_visits,
        later_visits,
        sum(journey_count) as journey_count,
        sum(converted_count) as converted_count
    from journeys._path_counts as counts
    group by grouping sets ((model_index, first_visits, later_visits, persona), (model_index, first_visits, later_visits))
),

-- Equally frequent ones share a rank: which of them are shown is decided by their names.
paths_ranked as (
    select
        model_index,
        persona,
        first_visits,
        later_visits,
        journey_count,
        converted_count,
        rank() over (partition by model_index, persona order by journey_count desc) <= 50 as is_frequent
    from personas_counted
),

-- Names are long and ways are many: only those that may be shown get one.
codes_found as (
    select distinct model_index, first_visits, later_visits
    from paths_ranked
    where is_frequent
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
    inner join config.stages
        on stages.model_index = visits_unpacked.model_index
        and stages.stage_index = visits_unpacked.stage_index
    group by visits_unpacked.model_index, visits_unpacked.first_visits, visits_unpacked.later_visits
)

select
    paths_ranked.model_index,
    paths_ranked.persona,
    paths_spelt.path,
    false as is_rare,
    cast(paths_ranked.journey_count as bigint) as journey_count,
    cast(paths_ranked.converted_count as bigint) as converted_count
from paths_ranked
inner join paths_spelt
    on paths_spelt.model_index = paths_ranked.model_index
    and paths_spelt.first_visits = paths_ranked.first_visits
    and paths_spelt.later_visits = paths_ranked.later_visits
where paths_ranked.is_frequent

union all

select
    model_index,
    persona,
    'other' as path,
    true as is_rare,
    cast(sum(journey_count) as bigint) as journey_count,
    cast(sum(converted_count) as bigint) as converted_count
from paths_ranked
where not is_frequent
group by model_index, persona
