-- Google Analytics 4 events, nested (BigQuery export) or flat (a warehouse copy), as canonical events.
-- Grain: one row per event of the file.
with
raw_events as (
    select
        record_ix, source_row, event_id, event_timestamp, event_name, user_pseudo_id, user_id, sequence, event_params, platform,
        device_category, country, page_location, page_referrer, session_number, param_session_id, param_source, param_medium,
        param_campaign, flat_revenue, nested_revenue, transaction_id, first_touch, stream, operating_system, browser, reason
    from raw
),

-- Parameters come as a list of key and typed value; whatever the type, the text of the value is read. Exports of one event
-- may list them in another order, so they are sorted.
params_sorted as (
    select
        raw_events.*,
        list_sort(
            list_transform(
                coalesce(json_extract(event_params, '$[*]'), []),
                lambda p: struct_pack(
                    name := json_extract_string(p, '$.key'),
                    text := coalesce(
                        json_extract_string(p, '$.value.string_value'), json_extract_string(p, '$.value.int_value'),
                        json_extract_string(p, '$.value.double_value'), json_extract_string(p, '$.value.float_value')
                    )
                )
            )
        ) as sorted_params
    from raw_events
),

-- The keys of a map are unique: of a repeated key the least value counts, whatever the order; one without a key is left out.
params_opened as (
    select
        params_sorted.* exclude (sorted_params),
        map_from_entries(
            list_filter(
                sorted_params,
                lambda p, n: p.name is not null and (n = 1 or sorted_params[n - 1].name is distinct from p.name)
            )
        ) as params
    from params_sorted
),

named as (
    select
        params_opened.*,
        case event_name
            when 'view_item' then 'product_view'
            when 'begin_checkout' then 'checkout_started'
            when 'add_payment_info' then 'payment_info'
            when 'view_search_results' then 'search'
            when 'generate_lead' then 'lead'
            when 'screen_view' then 'page_view'
            else event_name
        end as canonical_name,
        identifier_of(coalesce(param_session_id, params['ga_session_id'])) as ga_session_id
    from params_opened
),

-- Exports without ids, as after redaction, still number their sessions, by the second in which they begin: what is the same in
-- all events of a session distinguishes those that begin together.
sessions_named as (
    select
        named.*,
        'session.' || ga_session_id
        || case
            when coalesce(first_touch, stream, device_category, operating_system, browser) is null then ''
            else '.' || left(md5(cast(json_array(first_touch, stream, device_category, operating_system, browser) as varchar)), 12)
        end as session_name
    from named
)

select
    record_ix,
    source_row,
    event_id,
    case
        when regexp_full_match(event_timestamp, '\d{15,17}')
            then cast(make_timestamp(cast(event_timestamp as bigint)) as varchar) || '+00'
        else event_timestamp || '+00'
    end as occurred_at,
    coalesce(identifier_of(user_pseudo_id), case when identifier_of(user_id) is null then session_name end) as anonymous_id,
    user_id,
    -- The number of a session is unique only within a device.
    coalesce(coalesce(identifier_of(user_pseudo_id), identifier_of(user_id)) || '.' || ga_session_id, session_name) as session_id,
    sequence,
    canonical_name as event_name,
    case when lower(platform) in ('android', 'ios', 'app') then 'app' else 'web' end as channel,
    coalesce(page_location, params['page_location']) as page_path,
    coalesce(page_referrer, params['page_referrer']) as referrer_host,
    coalesce(param_source, params['source']) as utm_source,
    coalesce(param_medium, params['medium']) as utm_medium,
    coalesce(param_campaign, params['campaign']) as utm_campaign,
    params['term'] as utm_term,
    params['content'] as utm_content,
    case
        when canonical_name in ('purchase', 'refund') then coalesce(params['value'], nested_revenue, flat_revenue)
    end as revenue_amount,
    case
        when canonical_name not in ('purchase', 'refund') then null
        when params['value'] is not null then params['currency']
        when coalesce(nested_revenue, flat_revenue) is not null then 'USD'
    end as currency,
    json_merge_patch(
        to_json(params),
        json_object(
            'platform', platform, 'device_category', device_category, 'country', country, 'order_id', transaction_id,
            'session_number', session_number, 'page_location', null, 'page_referrer', null
        )
    ) as properties,
    reason
from sessions_named
