-- Every touch of every person, online and offline: a visit is one, and so is each event outside visits.
-- Grain: person_key, occurred_at, channel, event_ix.
select
    sessions.person_key,
    sessions.started_at as occurred_at,
    origins.channel,
    sessions.session_ix,
    -- Of a visit, a number that no event has.
    -1 - sessions.session_ix as event_ix,
    origins.journey_index
from analyses.visit_origins as origins
inner join kernel.sessions on sessions.session_ix = origins.session_ix

union all

select
    kernel_events.person_key,
    events.occurred_at as occurred_at,
    coalesce(classes.own_channel, classes.event_channel) as channel,
    cast(null as bigint) as session_ix,
    kernel_events.event_ix,
    kernel_events.journey_index
from kernel.events as kernel_events
inner join analyses.event_classes as classes on classes.classification_key = kernel_events.classification_key
inner join sources.events on events.event_ix = kernel_events.event_ix
where kernel_events.session_ix is null and classes.is_touch
