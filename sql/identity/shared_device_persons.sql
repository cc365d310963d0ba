-- The persons who met on each shared device; they stay apart, but their events are put in order together.
-- Grain: device_key, person_key.
with device_users as (
    select device_key, user_key
    from identity._device_users
),

device_persons as (
    select device_key, person_count
    from identity._device_persons
),

aliases as (
    select user_key, person_key
    from identity.user_aliases
)

select distinct
    device_users.device_key,
    coalesce(aliases.person_key, device_users.user_key) as person_key
from device_users
inner join device_persons on device_persons.device_key = device_users.device_key
left join aliases on aliases.user_key = device_users.user_key
where device_persons.person_count > 1
