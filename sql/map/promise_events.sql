-- The events that make promises due and that keep them, each under what the two ends of a promise share.
-- Grain: promise_index, event_ix.
with promises as (
    select
        promise,
        promise_index,
        match_property,
        -- `delivery.order` as a JSON pointer: /delivery/order.
        concat('/', replace(replace(replace(match_property, '~', '~0'), '/', '~1'), '.', '/')) as pointer
    from config.promises
    where kind = 'timed'
),

event_types_evaluated as (
    select
        promises.promise_index,
        promises.match_property,
        promises.pointer,
        predicates.event_type_ix,
        max(case when predicates.predicate = concat('promise/', promises.promise, '/from') then 1 else 0 end) = 1 as is_from,
        max(case when predicates.predicate = concat('promise/', promises.promise, '/to') then 1 else 0 end) = 1 as is_to
    from promises
    inner join config.event_type_predicates as predicates
        on predicates.predicate in (
            concat('promise/', promises.promise, '/from'), concat('promise/', promises.promise, '/to')
        )
    where predicates.is_true
    group by promises.promise_index, promises.match_property, promises.pointer, predicates.event_type_ix
),

events_found as (
    select
        event_types_evaluated.promise_index,
        event_types_evaluated.match_property,
        event_types_evaluated.pointer,
        event_types_evaluated.is_from,
        event_types_evaluated.is_to,
        kernel_events.event_ix,
        kernel_events.person_key,
        kernel_events.journey_index
    from event_types_evaluated
    inner join kernel.classifications
        on classifications.event_type_ix = event_types_evaluated.event_type_ix
        and classifications.model_index = 1
    inner join kernel.events as kernel_events on kernel_events.classification_key = classifications.classification_key
),

ends_matched as (
    select
        events_found.promise_index,
        events_found.event_ix,
        events_found.person_key,
        events_found.journey_index,
        events_found.is_from,
        events_found.is_to,
        events_found.match_property is not null as is_matched,
        case
            when events_found.match_property is null then cast(events_found.person_key as varchar)
            else trim(json_extract_string(events.properties, events_found.pointer))
        end as match_text,
        events.event_id,
        sources.source_ix,
        events.occurred_at,
        events.sequence
    from events_found
    inner join sources.events on events.event_ix = events_found.event_ix
    inner join config.sources on sources.source = events.source
)

select
    promise_index,
    event_ix,
    person_key,
    journey_index,
    is_from,
    is_to,
    is_matched,
    -- Equal numbers are one order, whether a source writes 7, 7.0 or "7".
    case
        when contains(match_text, '.') and regexp_full_match(match_text, '-?\d+\.\d+')
            then rtrim(rtrim(match_text, '0'), '.')
        else nullif(match_text, '')
    end as match_value,
    event_id,
    source_ix,
    occurred_at,
    sequence
from ends_matched
-- What belongs to no order can neither be promised nor kept.
where match_text <> ''
