-- How many events each device has, by the user they name; events without a device by the user alone.
-- Grain: device_key, user_key (either may be absent).
select
    device_key,
    user_key,
    count(*) as event_count
from staging.events
where not is_bot and not is_internal
group by device_key, user_key
