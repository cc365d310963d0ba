-- Devices seen with a user, and how many people those users are.
-- Grain: device_key.
select
    device_users.device_key,
    min(coalesce(aliases.person_key, device_users.user_key)) as person_key,
    count(distinct coalesce(aliases.person_key, device_users.user_key)) as person_count
from identity._device_users as device_users
left join identity.user_aliases as aliases on aliases.user_key = device_users.user_key
group by device_users.device_key
