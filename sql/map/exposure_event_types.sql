-- Which event types are interactions with which exposure.
-- Grain: exposure_ix, event_type_ix.
with event_kinds as (
    select event_type_ix, event_name, channel, touchpoint
    from journeys.event_types
),

event_type_predicates as (
    select event_type_ix, predicate
    from config.event_type_predicates
    where is_true and predicate like 'friction/%'
),

names_listed as (
    select event_type_ix, 'touchpoint' as exposure_kind, touchpoint as subject
    from event_kinds

    union all

    select event_type_ix, 'channel' as exposure_kind, channel as subject
    from event_kinds

    union all

    -- Only some event names are exposures; the join below keeps those.
    select event_type_ix, 'signal' as exposure_kind, event_name as subject
    from event_kinds

    union

    select event_type_ix, 'friction' as exposure_kind, substr(predicate, 10) as subject
    from event_type_predicates
)

select exposures.exposure_ix, names_listed.event_type_ix
from names_listed
inner join map.exposures
    on exposures.exposure_kind = names_listed.exposure_kind
    and exposures.subject = names_listed.subject
