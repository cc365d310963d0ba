-- The distinct kinds of events: alike in name, channel, touchpoint and every deep condition of the configuration.
-- Grain: event_type_ix.
with kinds_found as (
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
    -- The separator is a control character, so that no two kinds are spelt alike.
    substr(md5(concat_ws(chr(31), event_name, channel, touchpoint, cast(condition_bits as varchar))), 1, 12) as kind_id,
    event_name,
    channel,
    touchpoint,
    condition_bits
from kinds_found
