-- Mixpanel events (raw export or a warehouse copy of it) as canonical events.
-- Grain: one row per event of the file.
with
raw_events as (
    select
        record_ix, source_row, insert_id, event, time, distinct_id, device_id, user_id, current_url, referrer, utm_source,
        utm_medium, utm_campaign, properties, amount, currency
    from raw
)

select
    record_ix,
    source_row,
    insert_id as event_id,
    -- Seconds in old exports, milliseconds in new ones, text in warehouses; all of them UTC.
    case
        when regexp_full_match(time, '\d{9,11}') then cast(make_timestamp(cast(time as bigint) * 1000000) as varchar)
        when regexp_full_match(time, '\d{12,14}') then cast(make_timestamp(cast(time as bigint) * 1000) as varchar)
        else time
    end || '+00' as occurred_at,
    coalesce(device_id, distinct_id) as anonymous_id,
    user_id,
    case event when '$mp_web_page_view' then 'page_view' else event end as event_name,
    'web' as channel,
    current_url as page_path,
    referrer as referrer_host,
    utm_source,
    utm_medium,
    utm_campaign,
    amount as revenue_amount,
    currency,
    cast(properties as json) as properties
from raw_events
