-- The person that each device belongs to, and how that was decided.
-- Grain: device_key.
with devices_seen as (
    select distinct device_key
    from staging.events
    where device_key is not null and not is_bot and not is_internal
),

ids_read as (
    select
        device_key,
        min(anonymous_id) as anonymous_id,
        -- One key for two ids would merge two devices unseen; the model's check stops the run.
        min(anonymous_id) <> max(anonymous_id) as is_collision
    from sources.events as named
    where device_key is not null
    group by device_key
),

persons_decided as (
    select
        devices_seen.device_key,
        -- With one person the device is theirs, its earlier history included; with several it belongs to none of them.
        case when device_persons.person_count = 1 then device_persons.person_key else devices_seen.device_key end as person_key,
        coalesce(device_persons.person_count, 0) as person_count
    from devices_seen
    left join identity._device_persons as device_persons on device_persons.device_key = devices_seen.device_key
)

select
    persons_decided.device_key,
    ids_read.anonymous_id,
    persons_decided.person_key,
    coalesce(components.component_key, persons_decided.person_key) as component_key,
    persons_decided.person_count > 1 as is_shared,
    case
        when persons_decided.person_count = 0 then 'anonymous'
        when persons_decided.person_count = 1 then 'joined'
        else 'shared'
    end as decision,
    ids_read.is_collision
from persons_decided
inner join ids_read on ids_read.device_key = persons_decided.device_key
left join identity.person_components as components on components.person_key = persons_decided.person_key
