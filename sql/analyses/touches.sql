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

-- On a shared device a visit is of whoever came first. It is a touch of those too who reach a goal in it.
select
    goals.person_key,
    min(sessions.started_at) as occurred_at,
    min(origins.channel) as channel,
    goals.session_ix,
    -- Another number that no event and no visit has.
    -4611686018427387904 - min(goals.event_ix) as event_ix,
    min(goals.journey_index) as journey_index
from analyses.goal_events as goals
inner join kernel.sessions on sessions.session_ix = goals.session_ix
inner join analyses.visit_origins as origins on origins.session_ix = goals.session_ix
where goals.person_key <> sessions.person_key
group by goals.person_key, goals.session_ix

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
