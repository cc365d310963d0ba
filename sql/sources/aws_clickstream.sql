-- Events of Clickstream Analytics on AWS as canonical events.
-- Grain: one row per event of the file.
with
raw_events as (
    select
        record_ix, source_row, event_id, event_name, event_time, ingest_time, user_pseudo_id, user_id, session_id, sequence, platform,
        page_url, page_url_path, page_referrer, screen_name, search_term, outbound_link_url, source, medium, campaign, term, content,
        value, currency, country, device_category, browser, app_id, parameters, reason
    from raw
),

named as (
    select
        raw_events.*,
        case event_name
            when '_page_view' then 'page_view'
            when '_screen_view' then 'page_view'
            when '_search' then 'search'
            when '_login' then 'login'
            when '_app_start' then 'app_open'
            when '_app_exception' then 'error'
            else event_name
        end as canonical_name
    from raw_events
)

select
    record_ix,
    source_row,
    event_id,
    case
        when regexp_full_match(event_time, '\d{12,14}')
            then cast(make_timestamp(cast(event_time as bigint) * 1000) as varchar) || '+00'
        else event_time || '+00'
    end as occurred_at,
    case
        when regexp_full_match(ingest_time, '\d{12,14}')
            then cast(make_timestamp(cast(ingest_time as bigint) * 1000) as varchar) || '+00'
        else ingest_time || '+00'
    end as received_at,
    user_pseudo_id as anonymous_id,
    user_id,
    session_id,
    try_cast(sequence as bigint) as sequence,
    canonical_name as event_name,
    case when lower(platform) in ('ios', 'android') then 'app' else 'web' end as channel,
    coalesce(page_url_path, page_url) as page_path,
    page_referrer as referrer_host,
    source as utm_source,
    medium as utm_medium,
    campaign as utm_campaign,
    term as utm_term,
    content as utm_content,
    coalesce(screen_name, outbound_link_url) as target,
    case when canonical_name in ('purchase', 'refund') then value end as revenue_amount,
    case when canonical_name in ('purchase', 'refund') then currency end as currency,
    json_merge_patch(
        coalesce(cast(parameters as json), '{}'),
        json_object(
            'platform', platform, 'country', country, 'device_category', device_category, 'browser', browser, 'app_id', app_id,
            'search_term', search_term
        )
    ) as properties,
    reason
from named
