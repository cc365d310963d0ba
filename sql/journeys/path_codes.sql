-- Each journey's stage visits as numbers: text for every journey would cost more than all else.
-- Grain: model_index, person_key, journey_index.
-- A path is at most twenty visits long; what follows is in `stage_transitions`.
select
    model_index,
    person_key,
    journey_index,
    cast(sum(cast(stage_index as bigint) << (6 * ((visit_index - 1) % 10))) filter (where visit_index <= 10) as bigint)
        as first_visits,
    cast(
        coalesce(
            sum(cast(stage_index as bigint) << (6 * ((visit_index - 1) % 10))) filter (where visit_index between 11 and 20), 0
        ) as bigint
    ) as later_visits,
    bit_or(cast(1 as bigint) << (stage_index - 1)) as visited_bits,
    bool_and(is_next_tied) as is_tied_alone,
    -- Of the last visit: a model has 63 stages at most.
    cast(max(cast(visit_index as bigint) * 64 + stage_index) % 64 as integer) as last_stage_index,
    max(stage_index) as furthest_stage_index
from kernel.stage_visits as visits
group by model_index, person_key, journey_index
