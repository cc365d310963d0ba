-- Mixpanel events (raw export or a warehouse copy of it) as canonical events.
-- Grain: one row per event of the file.
with
raw_events as (
    select
        record_ix, source_row, insert_id, event, time, distinct_id, device_id, user_id, current_url, referrer, utm_source,
        utm_medium, utm_campaign, properties, amount, currency, reason
    from raw
),

-- Seconds in old exports, milliseconds in new ones, text in warehouses. Without an offset: projects from before 2023 export
-- the time of their own zone in this form, which `timezone` of the source then states.
stamped as (
    select
        raw_events.*,
        case
            when regexp_full_match(time, '\d{9,11}') then cast(make_timestamp(cast(time as bigint) * 1000000) as varchar)
            when regexp_full_match(time, '\d{12,14}') then cast(make_timestamp(cast(time as bigint) * 1000) as varchar)
            else time
        end as stamp
    from raw_events
)

select
    record_ix,
    source_row,
    -- Some libraries give one insert id to several events: it is unique for an event name, a person and a day.
    insert_id || '.' || left(md5(cast(json_array(event, distinct_id, left(stamp, 10)) as varchar)), 16) as event_id,
    stamp as occurred_at,
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
    cast(properties as json) as properties,
    reason
from stamped
