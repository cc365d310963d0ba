-- The events that make promises due and that keep them, each under what the two ends of a promise share.
-- Grain: promise_index, event_ix.
with promise_labels as (
    select
        promises.promise_index,
        promises.match_path,
        labels.classification_key,
        bool_or(labels.predicate = concat('promise/', promises.promise, '/from')) as is_from,
        bool_or(labels.predicate = concat('promise/', promises.promise, '/to')) as is_to
    from config.promises
    inner join journeys.predicate_classifications as labels
        on labels.predicate in (
            concat('promise/', promises.promise, '/from'), concat('promise/', promises.promise, '/to')
        )
    where promises.kind = 'timed'
    group by promises.promise_index, promises.match_path, labels.classification_key
),

events_found as (
    select
        promise_labels.promise_index,
        promise_labels.match_path,
        promise_labels.is_from,
        promise_labels.is_to,
        labelled_events.event_ix,
        labelled_events.person_key,
        labelled_events.journey_index
    from promise_labels
    inner join journeys.labelled_events
        on labelled_events.classification_key = promise_labels.classification_key
),

-- The JSON of events is wide: without a promise whose ends share a property it is not read.
properties_read as (
    select
        events_found.promise_index,
        events_found.event_ix,
        trim(json_extract_string(events.properties, events_found.match_path)) as match_text
    from events_found
    inner join sources.events on events.event_ix = events_found.event_ix
    where events_found.match_path is not null
),

ends_matched as (
    select
        events_found.promise_index,
        events_found.event_ix,
        events_found.person_key,
        events_found.journey_index,
        events_found.is_from,
        events_found.is_to,
        events_found.match_path is not null as is_matched,
        case
            when events_found.match_path is null then cast(events_found.person_key as varchar)
            else properties_read.match_text
        end as match_text,
        events.event_id,
        sources.source_ix,
        events.occurred_at,
        events.sequence
    from events_found
    inner join sources.events on events.event_ix = events_found.event_ix
    inner join config.sources on sources.source = events.source
    left join properties_read
        on properties_read.promise_index = events_found.promise_index
        and properties_read.event_ix = events_found.event_ix
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
