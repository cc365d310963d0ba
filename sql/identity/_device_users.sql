-- Which user_ids each device was seen with; the raw material of stitching.
-- Grain: device_key, user_key.
select
    device_key,
    user_key,
    count(*) as event_count
from staging.events
-- Excluded traffic is ignored: a crawler or a colleague must not make a customer's device shared.
where device_key is not null and user_key is not null and not is_bot and not is_internal
group by device_key, user_key
