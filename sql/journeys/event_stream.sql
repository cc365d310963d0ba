-- What the kernel reads: every event that counts, whole components together, in the one total order of events.
-- Grain: event_ix.
select
    events.event_ix,
    events.event_id,
    coalesce(identities.component_key, users.component_key) as component_key,
    events.device_key,
    -- A named event is its user's, on any device; on a shared device `identities` gives the anonymous person of the device.
    coalesce(users.person_key, identities.person_key) as person_key,
    coalesce(identities.is_shared, false) and users.person_key is null as is_undecided,
    users.person_key as user_key,
    events.session_key,
    events.source_ix,
    events.sequence,
    date_diff('microsecond', timestamp '1970-01-01 00:00:00', events.occurred_at) as occurred_us,
    event_types.event_type_ix,
    events.is_offline
from staging.events
inner join journeys.event_types
    on event_types.event_name = events.event_name
    and event_types.channel = events.channel
    and event_types.touchpoint = events.touchpoint
    and event_types.condition_bits = events.condition_bits
left join identity.identities on identities.device_key = events.device_key
left join identity.users on users.user_key = events.user_key
where not events.is_bot and not events.is_internal
order by component_key, occurred_us, events.sequence nulls last, events.event_id, events.source_ix
