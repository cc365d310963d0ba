-- Devices seen with a user, and how many people those users are.
-- Grain: device_key.
with device_users as (
    select device_key, user_key
    from identity._device_users
),

aliases as (
    select user_key, person_key
    from identity.user_aliases
)

select
    device_users.device_key,
    min(coalesce(aliases.person_key, device_users.user_key)) as person_key,
    count(distinct coalesce(aliases.person_key, device_users.user_key)) as person_count
from device_users
left join aliases on aliases.user_key = device_users.user_key
group by device_users.device_key
