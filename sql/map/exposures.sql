-- What a journey can meet in a stage: touchpoints, channels, friction, and signals of trouble.
-- Grain: exposure_ix.
with event_kinds as (
    select event_name, channel, touchpoint
    from journeys.event_types
),

event_type_predicates as (
    select predicate
    from config.event_type_predicates
    where is_true and predicate like 'friction/%'
),

subjects_listed as (
    select 'touchpoint' as exposure_kind, 1 as kind_order, touchpoint as subject
    from event_kinds

    union all

    select 'channel' as exposure_kind, 2 as kind_order, channel as subject
    from event_kinds

    union all

    select 'friction' as exposure_kind, 3 as kind_order, substr(predicate, 10) as subject
    from event_type_predicates

    union all

    select 'signal' as exposure_kind, 4 as kind_order, event_name as subject
    from event_kinds
    where event_name in ('payment_error', 'error', 'refund', 'return_requested', 'order_cancelled', 'complaint')
),

subjects_found as (
    select exposure_kind, kind_order, subject
    from subjects_listed
    group by exposure_kind, kind_order, subject
)

select
    cast(
        row_number() over (
            order by kind_order, exposure_kind, subject
            rows between unbounded preceding and current row
        ) as integer
    ) as exposure_ix,
    exposure_kind,
    subject
from subjects_found
