-- Mixpanel events (raw export or a warehouse copy of it) as canonical events.
-- Grain: one row per event of the file.
with
raw_events as (
    select
        record_ix, source_row, insert_id, event, time, distinct_id, device_id, user_id, identified_id, anon_id, alias, distinct_ids,
        current_url, referrer, utm_source, utm_medium, utm_campaign, properties, amount, currency, reason
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
),

-- What an event says of ids: its own, and in a statement that two ids are one person the other one.
ids_read as (
    select
        stamped.*,
        coalesce(identifier_of(device_id), case when starts_with(distinct_id, '$device:') then substr(distinct_id, 9) end)
            as own_device_id,
        coalesce(
            identifier_of(
                case event
                    when '$identify' then identified_id
                    when '$create_alias' then alias
                    when '$merge' then json_extract_string(distinct_ids, '$[0]')
                end
            ),
            identifier_of(user_id),
            case when not starts_with(distinct_id, '$device:') then distinct_id end
        ) as person_id,
        identifier_of(
            case event
                when '$identify' then regexp_replace(anon_id, '^\$device:', '')
                when '$create_alias' then regexp_replace(distinct_id, '^\$device:', '')
                when '$merge' then json_extract_string(distinct_ids, '$[1]')
            end
        ) as previous_id
    from stamped
)

select
    record_ix,
    source_row,
    -- Some libraries give one insert id to several events: it is unique for an event name, a person and a day.
    identifier_of(insert_id) || '.' || left(md5(cast(json_array(event, distinct_id, left(stamp, 10)) as varchar)), 16) as event_id,
    stamp as occurred_at,
    -- An id without a device is a user's (a server sends it) or that of a device before the login: it stands for both, and so
    -- meets the events of either.
    coalesce(own_device_id, previous_id, person_id) as anonymous_id,
    case when person_id is distinct from own_device_id then person_id end as user_id,
    case
        when event = '$mp_web_page_view' then 'page_view'
        when previous_id is not null then 'alias'
        else event
    end as event_name,
    'web' as channel,
    current_url as page_path,
    referrer as referrer_host,
    utm_source,
    utm_medium,
    utm_campaign,
    amount as revenue_amount,
    currency,
    case
        when previous_id is not null
            then json_merge_patch(
                coalesce(cast(properties as json), '{}'),
                json_object('previous_id', previous_id, 'is_login', event = '$identify')
            )
        else cast(properties as json)
    end as properties,
    reason
from ids_read
