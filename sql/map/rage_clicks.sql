-- Clicks that complete a burst: the same target three times in two seconds, on one device.
-- Grain: event_ix.
with kernel_events as (
    select event_ix, person_key, journey_index, classification_key
    from kernel.events
),

-- An event without a target is no click and costs nothing from here on.
targets_listed as (
    select event_ix, event_id, source, occurred_at, sequence, device_key, target
    from sources.events
    where target is not null
),

-- A source with a precision of days or minutes seems to have all clicks of a minute at once.
sources_timed as (
    select sources.source, sources.source_ix
    from targets_listed
    inner join config.sources on sources.source = targets_listed.source
    where targets_listed.occurred_at <> date_trunc('minute', targets_listed.occurred_at)
    group by sources.source, sources.source_ix
),

clicks_found as (
    select
        targets_listed.event_ix,
        targets_listed.event_id,
        sources_timed.source_ix,
        targets_listed.occurred_at,
        targets_listed.sequence,
        targets_listed.device_key,
        targets_listed.target
    from targets_listed
    inner join sources_timed on sources_timed.source = targets_listed.source
),

-- Most targets are met once or twice by a device: to leave them out first is cheaper than to sort them.
targets_repeated as (
    select device_key, target
    from clicks_found
    where device_key is not null
    group by device_key, target
    having count(*) >= 3
),

clicks_kept as (
    select
        clicks_found.event_ix,
        clicks_found.event_id,
        clicks_found.source_ix,
        clicks_found.occurred_at,
        clicks_found.sequence,
        clicks_found.device_key,
        clicks_found.target
    from clicks_found
    left join targets_repeated
        on targets_repeated.device_key = clicks_found.device_key
        and targets_repeated.target = clicks_found.target
    where targets_repeated.device_key is not null or clicks_found.device_key is null
),

clicks_counted as (
    select
        clicks_kept.event_ix,
        clicks_kept.event_id,
        clicks_kept.source_ix,
        clicks_kept.occurred_at,
        clicks_kept.sequence,
        clicks_kept.target,
        kernel_events.person_key,
        kernel_events.journey_index,
        kernel_events.classification_key,
        -- The device; the person where an event has none.
        clicks_kept.device_key is null as is_of_person,
        coalesce(clicks_kept.device_key, kernel_events.person_key) as clicker_key
    from clicks_kept
    inner join kernel_events on kernel_events.event_ix = clicks_kept.event_ix
),

clicks_followed as (
    select
        event_ix,
        occurred_at,
        person_key,
        journey_index,
        classification_key,
        lag(occurred_at, 2) over (
            partition by is_of_person, clicker_key, target
            order by occurred_at, sequence nulls last, event_id, source_ix
        ) as second_before_at
    from clicks_counted
)

select
    event_ix,
    person_key,
    journey_index,
    classification_key,
    occurred_at as clicked_at
from clicks_followed
where date_diff('microsecond', second_before_at, occurred_at) <= 2000000
