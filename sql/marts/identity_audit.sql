-- What was decided about devices and people, and over how many events.
-- Grain: decision.
with device_events as (
    select device_key, user_key, event_count
    from identity.device_events
),

decisions_gathered as (
    select
        case
            when device_events.device_key is null then 'without_device'
            when identities.decision = 'shared' then 'shared_named'
            else identities.decision
        end as decision,
        device_events.device_key,
        coalesce(users.person_key, identities.person_key) as person_key,
        device_events.event_count
    from device_events
    left join identity.identities on identities.device_key = device_events.device_key
    left join identity.users on users.user_key = device_events.user_key
    -- What became of a shared device's unnamed events is counted below.
    where identities.decision is null or identities.decision <> 'shared' or device_events.user_key is not null

    union all

    select
        case when person_key = device_key then 'shared_anonymous' else 'shared_session' end as decision,
        device_key,
        person_key,
        event_count
    from identity.shared_device_events

    union all

    -- Listed beside the others, which count these events too.
    select
        'aliased' as decision,
        device_events.device_key,
        aliases.person_key,
        device_events.event_count
    from device_events
    inner join identity.user_aliases as aliases on aliases.user_key = device_events.user_key
)

select
    decision,
    count(distinct device_key) as device_count,
    count(distinct person_key) as person_count,
    cast(sum(event_count) as bigint) as event_count
from decisions_gathered
group by decision
