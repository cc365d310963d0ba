-- The ways by which persons came to the goals, or did not: the fifty most frequent of each persona, then the rest together.
-- Grain: goal, persona, path_rank.
with places as (
    select place
    from (
        values (1), (2), (3), (4), (5), (6), (7), (8), (9), (10), (11), (12), (13), (14), (15), (16),
        (17), (18), (19), (20), (21), (22), (23), (24), (25), (26), (27), (28), (29), (30), (31), (32)
    ) as numbers (place)
),

channels_coded as (
    select distinct chr(64 + channel_ix) as code, shown_channel
    from analyses.touch_channels
),

persons_counted as (
    select
        goal_index,
        coalesce(persona, 'all') as persona,
        path_code,
        count(distinct person_key) as person_count,
        count(*) filter (where outcome = 'converted') as conversion_count,
        count(*) filter (where outcome = 'not_converted') as not_converted_count,
        count(*) filter (where outcome = 'pending') as pending_count,
        sum(value_amount) as value_amount,
        count(*) filter (where is_rate_missing) as unvalued_count
    from analyses.touch_paths
    group by grouping sets ((goal_index, persona, path_code), (goal_index, path_code))
),

paths_ranked as (
    select
        goal_index, persona, path_code, person_count, conversion_count, not_converted_count, pending_count, value_amount,
        unvalued_count,
        row_number() over (
            partition by goal_index, persona order by conversion_count desc, person_count desc, path_code
        ) as path_rank
    from persons_counted
),

paths_spelt as (
    select codes.path_code, string_agg(channels_coded.shown_channel, ' > ' order by places.place) as path
    from (
        select distinct path_code
        from paths_ranked
        where path_rank <= 50
    ) as codes
    cross join places
    inner join channels_coded on channels_coded.code = substr(codes.path_code, places.place, 1)
    group by codes.path_code
),

-- A person counts once in what is left, on however many of its paths.
persons_left as (
    select paths_ranked.goal_index, paths_ranked.persona, count(distinct paths.person_key) as person_count
    from paths_ranked
    inner join analyses.touch_paths as paths
        on paths.goal_index = paths_ranked.goal_index
        and paths.path_code = paths_ranked.path_code
        and (paths_ranked.persona = 'all' or paths.persona = paths_ranked.persona)
    where paths_ranked.path_rank > 50
    group by paths_ranked.goal_index, paths_ranked.persona
),

-- The remainder is a row even where nothing remains.
rest_summed as (
    select
        goal_index,
        persona,
        least(count(*), 50) + 1 as path_rank,
        coalesce(sum(conversion_count) filter (where path_rank > 50), 0) as conversion_count,
        coalesce(sum(not_converted_count) filter (where path_rank > 50), 0) as not_converted_count,
        coalesce(sum(pending_count) filter (where path_rank > 50), 0) as pending_count,
        sum(value_amount) filter (where path_rank > 50) as value_amount,
        coalesce(sum(unvalued_count) filter (where path_rank > 50), 0) as unvalued_count
    from paths_ranked
    group by goal_index, persona
),

rows_listed as (
    select
        paths_ranked.goal_index, paths_ranked.persona, paths_ranked.path_rank, coalesce(paths_spelt.path, 'none') as path,
        paths_ranked.person_count, paths_ranked.conversion_count, paths_ranked.not_converted_count,
        paths_ranked.pending_count, paths_ranked.value_amount, paths_ranked.unvalued_count
    from paths_ranked
    left join paths_spelt on paths_spelt.path_code = paths_ranked.path_code
    where paths_ranked.path_rank <= 50

    union all

    select
        rest_summed.goal_index, rest_summed.persona, rest_summed.path_rank, 'other' as path,
        coalesce(persons_left.person_count, 0) as person_count, rest_summed.conversion_count,
        rest_summed.not_converted_count, rest_summed.pending_count, rest_summed.value_amount, rest_summed.unvalued_count
    from rest_summed
    left join persons_left
        on persons_left.goal_index = rest_summed.goal_index
        and persons_left.persona = rest_summed.persona
)

select
    attribution.goal,
    rows_listed.persona,
    cast(rows_listed.path_rank as integer) as path_rank,
    rows_listed.path,
    cast(rows_listed.person_count as bigint) as person_count,
    cast(rows_listed.conversion_count as decimal(38, 4)) as conversion_count,
    cast(rows_listed.not_converted_count as bigint) as not_converted_count,
    cast(rows_listed.pending_count as bigint) as pending_count,
    case
        when attribution.has_value and rows_listed.unvalued_count = 0
            then cast(coalesce(rows_listed.value_amount, 0) as decimal(38, 4))
    end as value_amount
from rows_listed
inner join config.attribution on attribution.goal_index = rows_listed.goal_index
