-- How often each source sends each event, day by day: the basis for finding silent sources and new or vanished events.
-- Grain: source_ix, event_name, day.
select
    source_ix,
    event_name,
    cast(occurred_at as date) as day,
    count(*) filter (where not is_bot and not is_internal) as event_count,
    count(*) filter (where is_bot) as bot_count,
    count(*) filter (where is_internal) as internal_count
from staging.events
group by source_ix, event_name, cast(occurred_at as date)
