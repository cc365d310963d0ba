-- Amplitude events (raw export or a warehouse copy of it) as canonical events.
-- Grain: one row per event of the file.
with
raw_events as (
    select
        record_ix, source_row, insert_id, event_type, event_time, device_id, amplitude_id, user_id, session_id, sequence,
        event_properties, user_properties, platform, device_family, os_name, country, language, revenue, reason
    from raw
)

select
    record_ix,
    source_row,
    -- An insert id is unique within a device.
    identifier_of(insert_id) || '.' || left(md5(cast(json_array(coalesce(device_id, amplitude_id, user_id)) as varchar)), 16) as event_id,
    -- Amplitude writes UTC without a mark, whatever the zone of the project is.
    event_time || '+00' as occurred_at,
    coalesce(identifier_of(device_id), amplitude_id) as anonymous_id,
    user_id,
    case
        when session_id <> '-1' then coalesce(identifier_of(device_id), identifier_of(amplitude_id), user_id) || '.' || session_id
    end as session_id,
    sequence,
    event_type as event_name,
    case when lower(platform) in ('ios', 'android') then 'app' else 'web' end as channel,
    json_extract_string(event_properties, '$."[Amplitude] Page Path"') as page_path,
    json_extract_string(user_properties, '$.utm_source') as utm_source,
    json_extract_string(user_properties, '$.utm_medium') as utm_medium,
    json_extract_string(user_properties, '$.utm_campaign') as utm_campaign,
    revenue as revenue_amount,
    json_merge_patch(
        coalesce(cast(event_properties as json), '{}'),
        json_object(
            'platform', platform, 'device_family', device_family, 'os_name', os_name, 'country', country, 'language', language
        )
    ) as properties,
    reason
from raw_events
