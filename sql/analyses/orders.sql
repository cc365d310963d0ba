-- The first ten orders of each person, each with the next one.
-- Grain: person_key, order_number.
with order_labels as (
    select labels.classification_key
    from config.goals
    inner join journeys.predicate_classifications as labels on labels.predicate = concat('goal/', goals.goal)
    where goals.is_repeated
),

-- Two lines of one instant are one order.
orders_found as (
    select labelled_events.person_key, events.occurred_at, min(labelled_events.journey_index) as journey_index
    from order_labels
    inner join journeys.labelled_events on labelled_events.classification_key = order_labels.classification_key
    inner join staging.events on events.event_ix = labelled_events.event_ix
    group by labelled_events.person_key, events.occurred_at
),

orders_numbered as (
    select
        person_key,
        row_number() over (partition by person_key order by occurred_at) as order_number,
        journey_index,
        occurred_at as ordered_at,
        lead(occurred_at) over (partition by person_key order by occurred_at) as next_ordered_at
    from orders_found
)

select person_key, cast(order_number as integer) as order_number, journey_index, ordered_at, next_ordered_at
from orders_numbered
where order_number <= 10
