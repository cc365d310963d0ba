-- Journeys of the map at every stage by outcome: of all that reached it, and of those that were seen in it.
-- Grain: model_index, persona, period, stage_index.
with stages as (
    select model_index, stage_index
    from config.stages
),

-- A few thousand rows; everything below is cheap however many journeys there are.
outcomes_counted as (
    select
        map_journeys.model_index,
        journey_facts.persona,
        map_journeys.month,
        map_journeys.is_furthest,
        map_journeys.depth,
        map_journeys.is_pending,
        map_journeys.is_matured,
        map_journeys.visited_stages,
        count(*) as person_count
    from kernel.map_journeys
    inner join journeys.journey_facts
        on journey_facts.person_key = map_journeys.person_key
        and journey_facts.journey_index = map_journeys.journey_index
    group by
        map_journeys.model_index, journey_facts.persona, map_journeys.month, map_journeys.is_furthest,
        map_journeys.depth, map_journeys.is_pending, map_journeys.is_matured, map_journeys.visited_stages
),

-- The whole time counts a person once, at the furthest journey of all; a month at the furthest one begun in it.
periods_listed as (
    select
        model_index, persona, 'all' as period, depth, is_pending, is_matured, visited_stages, person_count
    from outcomes_counted
    where is_furthest

    union all

    select
        model_index, persona, month as period, depth, is_pending, is_matured, visited_stages, person_count
    from outcomes_counted
),

personas_totalled as (
    select
        model_index,
        coalesce(persona, 'all') as persona,
        period,
        depth,
        is_pending,
        is_matured,
        visited_stages,
        sum(person_count) as person_count
    from periods_listed
    group by grouping sets (
        (model_index, period, depth, is_pending, is_matured, visited_stages, persona),
        (model_index, period, depth, is_pending, is_matured, visited_stages)
    )
),

personas_listed as (
    select persona
    from config.personas

    union all

    select 'all' as persona
),

last_stages as (
    select model_index, max(stage_index) as stage_index
    from stages
    group by model_index
),

-- The whole time has a row for every persona, a month only for those who began a journey in it.
rows_wanted as (
    select stages.model_index, stages.stage_index, personas_listed.persona, 'all' as period
    from stages
    cross join personas_listed

    union

    select stages.model_index, stages.stage_index, personas_totalled.persona, personas_totalled.period
    from stages
    inner join personas_totalled on personas_totalled.model_index = stages.model_index
),

visits_marked as (
    select
        rows_wanted.model_index,
        rows_wanted.persona,
        rows_wanted.period,
        rows_wanted.stage_index,
        personas_totalled.person_count,
        personas_totalled.is_matured,
        personas_totalled.depth >= rows_wanted.stage_index as is_reached,
        personas_totalled.depth > rows_wanted.stage_index as is_gone_on,
        rows_wanted.stage_index = last_stages.stage_index as is_last,
        personas_totalled.is_pending,
        substr(personas_totalled.visited_stages, rows_wanted.stage_index, 1) = '1' as is_visited
    from rows_wanted
    inner join last_stages on last_stages.model_index = rows_wanted.model_index
    left join personas_totalled
        on personas_totalled.model_index = rows_wanted.model_index
        and personas_totalled.persona = rows_wanted.persona
        and personas_totalled.period = rows_wanted.period
)

select
    visits_marked.model_index,
    visits_marked.persona,
    visits_marked.period,
    visits_marked.stage_index,
    cast(coalesce(sum(person_count) filter (where is_reached), 0) as bigint) as person_count,
    -- The last stage has no next one: a person who reached it has arrived.
    cast(
        coalesce(sum(person_count) filter (where is_reached and (is_gone_on or is_last)), 0) as bigint
    ) as converted_count,
    cast(coalesce(sum(person_count) filter (where is_reached and not is_gone_on and is_pending), 0) as bigint)
        as pending_count,
    cast(coalesce(sum(person_count) filter (where is_reached and is_matured), 0) as bigint) as matured_count,
    cast(
        coalesce(sum(person_count) filter (where is_reached and is_matured and (is_gone_on or is_last)), 0) as bigint
    ) as matured_next_count,
    cast(coalesce(sum(person_count) filter (where is_visited), 0) as bigint) as visited_count,
    cast(coalesce(sum(person_count) filter (where is_visited and is_matured), 0) as bigint) as matured_visited_count,
    cast(coalesce(sum(person_count) filter (where is_visited and is_matured and is_gone_on), 0) as bigint)
        as matured_advanced_count
from visits_marked
group by visits_marked.model_index, visits_marked.persona, visits_marked.period, visits_marked.stage_index
