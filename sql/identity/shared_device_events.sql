-- Whose the unnamed events of shared devices turned out to be: the last user's of the session, or the device's own.
-- Grain: device_key, person_key.
with unnamed_found as (
    select events.event_ix, events.device_key
    from staging.events
    inner join identity.identities on identities.device_key = events.device_key
    where identities.is_shared and events.user_key is null
)

select
    unnamed_found.device_key,
    kernel_events.person_key,
    count(*) as event_count
from unnamed_found
inner join kernel.events as kernel_events on kernel_events.event_ix = unnamed_found.event_ix
group by unnamed_found.device_key, kernel_events.person_key
