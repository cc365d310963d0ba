-- The distinct event types: equal name, channel, touchpoint and event-level conditions.
-- Grain: event_type_ix.
with event_types_found as (
    select event_name, channel, touchpoint, condition_bits
    from staging.events
    where not is_bot and not is_internal
    group by event_name, channel, touchpoint, condition_bits
)

select
    cast(
        row_number() over (
            order by event_name, channel, touchpoint, condition_bits
            rows between unbounded preceding and current row
        ) as integer
    ) as event_type_ix,
    -- The separator is a control character, so that no two event types have one text.
    substr(md5(concat_ws(chr(31), event_name, channel, touchpoint, cast(condition_bits as varchar))), 1, 12) as kind_id,
    event_name,
    channel,
    touchpoint,
    condition_bits
from event_types_found
