-- The events that this run reads: later ones are stored and wait, and so are those of a source no longer configured.
-- Grain: one row per event_ix.
with events as (
    select
        event_ix,
        event_id,
        source,
        occurred_at,
        received_at,
        device_key,
        user_key,
        anonymous_id,
        user_id,
        session_id,
        sequence,
        event_name,
        channel,
        utm_source,
        utm_medium,
        utm_campaign,
        utm_term,
        utm_content,
        referrer_host,
        page_path,
        target,
        user_agent,
        revenue_amount,
        currency,
        properties,
        file_ix,
        source_row,
        has_placeholder_id,
    from raw.events
),

configured_sources as (
    select source
    from config.sources
),

settings as (
    select high_water_at
    from config.settings
)

select
    event_ix,
    event_id,
    source,
    occurred_at,
    received_at,
    device_key,
    user_key,
    anonymous_id,
    user_id,
    session_id,
    sequence,
    event_name,
    channel,
    utm_source,
    utm_medium,
    utm_campaign,
    utm_term,
    utm_content,
    referrer_host,
    page_path,
    target,
    user_agent,
    revenue_amount,
    currency,
    properties,
    file_ix,
    source_row,
    has_placeholder_id,
from events
where
    -- Compared as columns few rows would seem to be left, and joins would build their hash tables of all events.
    date_diff('microsecond', occurred_at, (select high_water_at from settings)) >= 0
    and source in (select source from configured_sources)
