-- Pendo events (a warehouse copy or Data Sync) as canonical events.
-- Grain: one row per row of the file.
with
raw_events as (
    select
        record_ix, source_row, event_id, stamp, visitor_id, account_id, page_id, feature_id, track_name, guide_id, guide_event, app_id,
        num_events, num_minutes, country, user_agent, reason
    from raw
)

select
    record_ix,
    source_row,
    event_id,
    case
        when regexp_full_match(stamp, '\d{12,14}') then cast(make_timestamp(cast(stamp as bigint) * 1000) as varchar) || '+00'
        else stamp || '+00'
    end as occurred_at,
    visitor_id as anonymous_id,
    case when not starts_with(visitor_id, '_PENDO_T_') then visitor_id end as user_id,
    case
        when track_name is not null then track_name
        when feature_id is not null then 'feature_click'
        when guide_id is not null then coalesce(guide_event, 'guide_seen')
        else 'page_view'
    end as event_name,
    'app' as channel,
    coalesce(feature_id, guide_id, page_id) as target,
    user_agent,
    json_merge_patch(
        '{}',
        json_object('account_id', account_id, 'app_id', app_id, 'num_events', num_events, 'num_minutes', num_minutes, 'country', country)
    ) as properties,
    reason
from raw_events
