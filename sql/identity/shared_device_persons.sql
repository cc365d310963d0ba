-- The persons who met on each shared device; they stay apart, but their events are put in order together.
-- Grain: device_key, person_key.
select distinct
    device_users.device_key,
    coalesce(aliases.person_key, device_users.user_key) as person_key
from identity._device_users as device_users
inner join identity._device_persons as device_persons on device_persons.device_key = device_users.device_key
left join identity.user_aliases as aliases on aliases.user_key = device_users.user_key
where device_persons.person_count > 1
