-- PostHog events (batch export) as canonical events.
-- Grain: one row per event of the file.
with
raw_events as (
    select
        record_ix, source_row, uuid, event, distinct_id, stamp, properties, reason
    from raw
),

properties_opened as (
    select
        record_ix, source_row, uuid, event, distinct_id, stamp, reason, cast(properties as json) as properties,
        identifier_of(json_extract_string(properties, '$."$device_id"')) as device_id,
        -- The other id of a statement that two ids are one person.
        identifier_of(
            case event
                when '$identify' then json_extract_string(properties, '$."$anon_distinct_id"')
                when '$create_alias' then json_extract_string(properties, '$.alias')
                when '$merge_dangerously' then json_extract_string(properties, '$.alias')
            end
        ) as previous_id,
        json_extract_string(properties, '$."$lib"') as library
    from raw_events
)

select
    record_ix,
    source_row,
    uuid as event_id,
    stamp as occurred_at,
    -- An id without a device is a user's (a server sends it) or that of a device before the login (an app does): it stands for
    -- both, and so meets the events of either.
    coalesce(device_id, previous_id, distinct_id) as anonymous_id,
    -- After identify the distinct id is the user's; before it, it is the device's.
    case when device_id is null or distinct_id <> device_id then distinct_id end as user_id,
    json_extract_string(properties, '$."$session_id"') as session_id,
    case event
        when '$pageview' then 'page_view'
        when '$screen' then 'page_view'
        when '$create_alias' then 'alias'
        when '$merge_dangerously' then 'alias'
        when '$identify' then case when previous_id is not null then 'alias' else event end
        else event
    end as event_name,
    case when library in ('posthog-ios', 'posthog-android', 'posthog-react-native', 'posthog-flutter') then 'app' else 'web' end
        as channel,
    coalesce(
        json_extract_string(properties, '$."$pathname"'), json_extract_string(properties, '$."$current_url"')
    ) as page_path,
    json_extract_string(properties, '$."$referring_domain"') as referrer_host,
    json_extract_string(properties, '$.utm_source') as utm_source,
    json_extract_string(properties, '$.utm_medium') as utm_medium,
    json_extract_string(properties, '$.utm_campaign') as utm_campaign,
    json_extract_string(properties, '$.utm_term') as utm_term,
    json_extract_string(properties, '$.utm_content') as utm_content,
    coalesce(
        json_extract_string(properties, '$."$screen_name"'), json_extract_string(properties, '$."$el_text"')
    ) as target,
    json_extract_string(properties, '$."$raw_user_agent"') as user_agent,
    json_extract_string(properties, '$.revenue') as revenue_amount,
    json_extract_string(properties, '$.currency') as currency,
    json_merge_patch(
        properties,
        '{"$ip": null, "$current_url": null, "$referrer": null, "$set": null, "$set_once": null}',
        case
            when previous_id is not null then json_object('previous_id', previous_id, 'is_login', event = '$identify')
            else cast('{}' as json)
        end
    ) as properties,
    reason
from properties_opened
