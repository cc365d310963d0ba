-- The ways through the stages: the fifty most frequent of each persona by name, then the rest together.
-- Grain: model, persona, path_rank.
with paths as (
    select model_index, persona, path, is_rare, journey_count as person_count, converted_count
    from journeys.paths
),

paths_ranked as (
    select
        model_index,
        persona,
        path,
        is_rare,
        person_count,
        converted_count,
        row_number() over (
            partition by model_index, persona
            order by is_rare, person_count desc, path
            rows between unbounded preceding and current row
        ) as path_rank
    from paths
),

-- The remainder is a row even where nothing remains, so that the shares always add up to 1 in the same way.
personas_totalled as (
    select
        model_index,
        persona,
        least(count(*) filter (where not is_rare), 50) + 1 as other_rank,
        sum(person_count) as person_count,
        sum(person_count) filter (where is_rare or path_rank > 50) as other_count,
        sum(converted_count) filter (where is_rare or path_rank > 50) as other_converted_count
    from paths_ranked
    group by model_index, persona
),

rows_listed as (
    select model_index, persona, path_rank, path, person_count, converted_count
    from paths_ranked
    where not is_rare and path_rank <= 50

    union all

    select
        model_index,
        persona,
        other_rank as path_rank,
        'other' as path,
        coalesce(other_count, 0) as person_count,
        coalesce(other_converted_count, 0) as converted_count
    from personas_totalled
)

select
    models.model,
    rows_listed.persona,
    cast(rows_listed.path_rank as integer) as path_rank,
    rows_listed.path,
    cast(rows_listed.person_count as bigint) as person_count,
    cast(rows_listed.person_count as double) / cast(personas_totalled.person_count as double) as share_rate,
    cast(rows_listed.converted_count as bigint) as converted_count
from rows_listed
inner join personas_totalled
    on personas_totalled.model_index = rows_listed.model_index
    and personas_totalled.persona = rows_listed.persona
inner join config.models on models.model_index = rows_listed.model_index
