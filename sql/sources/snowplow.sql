-- Snowplow enriched events as canonical events.
-- Grain: one row per enriched event of the file.
with
raw_events as (
    select
        record_ix, source_row, event_id, event, event_name, app_id, platform, domain_userid, network_userid,
        domain_sessionid, user_id, collector_tstamp, derived_tstamp, true_tstamp, page_url, page_urlpath,
        page_urlquery, page_title, page_referrer, refr_urlhost, refr_medium, refr_source, mkt_medium, mkt_source,
        mkt_term, mkt_content, mkt_campaign, useragent, br_lang, dvce_type, dvce_ismobile, os_family, geo_country,
        se_category, se_action, se_label, se_property, se_value, tr_orderid, tr_total, tr_currency,
        ecommerce_action, ecommerce_user, ecommerce_page, cart, product, checkout_step, transaction, refund,
        client_session, mobile_screen, web_page, spiders_and_robots, others, reason
    from raw
),

-- Contexts come as lists of one entity; the first is the one that describes the event.
contexts_opened as (
    select
        raw_events.*,
        json_extract_string(ecommerce_action, '$.type') as action_type,
        json_extract_string(client_session, '$[0].userId') as client_user_id,
        json_extract_string(client_session, '$[0].sessionId') as client_session_id,
        json_extract_string(client_session, '$[0].eventIndex') as client_event_index,
        json_extract(transaction, '$[0]') as transaction_entity,
        json_extract(refund, '$[0]') as refund_entity
    from raw_events
),

-- The actions of the e-commerce plug-in under the names of the vocabulary; an action without a type stays what it is.
named as (
    select
        contexts_opened.*,
        case
            when event_name = 'snowplow_ecommerce_action' then
                case action_type
                    when 'checkout_step' then 'checkout_started'
                    when 'transaction' then 'purchase'
                    when 'trans_error' then 'payment_error'
                    else coalesce(action_type, event_name)
                end
            when event = 'struct' then coalesce(se_action, event_name, event)
            when event = 'transaction' then 'purchase'
            else coalesce(event_name, event)
        end as canonical_name
    from contexts_opened
)

select
    record_ix,
    source_row,
    event_id,
    coalesce(derived_tstamp, collector_tstamp) as occurred_at,
    collector_tstamp as received_at,
    coalesce(identifier_of(domain_userid), identifier_of(client_user_id), network_userid) as anonymous_id,
    user_id,
    coalesce(domain_sessionid, client_session_id) as session_id,
    client_event_index as sequence,
    canonical_name as event_name,
    case
        when platform = 'web' then 'web'
        when platform in ('mob', 'tv', 'cnsl', 'pc', 'app') then 'app'
        when platform = 'srv' then 'server'
        else platform
    end as channel,
    mkt_source as utm_source,
    mkt_medium as utm_medium,
    mkt_campaign as utm_campaign,
    mkt_term as utm_term,
    mkt_content as utm_content,
    coalesce(refr_urlhost, page_referrer) as referrer_host,
    coalesce(
        page_urlpath || case when page_urlquery is not null then '?' || ltrim(page_urlquery, '?') else '' end,
        page_url
    ) as page_path,
    json_extract_string(mobile_screen, '$[0].name') as target,
    useragent as user_agent,
    -- A transaction beside another action is context, not money: it would be counted twice.
    case canonical_name
        when 'purchase' then coalesce(json_extract_string(transaction_entity, '$.revenue'), tr_total)
        when 'refund' then json_extract_string(refund_entity, '$.refund_amount')
        else tr_total
    end as revenue_amount,
    case canonical_name
        when 'purchase' then coalesce(json_extract_string(transaction_entity, '$.currency'), tr_currency)
        when 'refund' then json_extract_string(refund_entity, '$.currency')
        else tr_currency
    end as currency,
    json_merge_patch(
        others,
        json_object(
            'app_id', app_id, 'platform', platform, 'event', event, 'page_title', page_title,
            'page_view_id', json_extract_string(web_page, '$[0].id'), 'referrer_medium', refr_medium,
            'referrer_source', refr_source, 'language', br_lang, 'device_type', dvce_type, 'is_mobile', dvce_ismobile,
            'os_family', os_family, 'country', geo_country, 'category', se_category, 'action', se_action,
            'label', se_label, 'property', se_property, 'value', se_value,
            'order_id', coalesce(json_extract_string(transaction_entity, '$.transaction_id'), tr_orderid),
            'ecommerce_action', json(ecommerce_action),
            'ecommerce_page', json_extract(ecommerce_page, '$[0]'),
            'is_guest', json_extract_string(ecommerce_user, '$[0].is_guest'),
            'cart', json_extract(cart, '$[0]'),
            'product', json(nullif(product, '[]')),
            'checkout_step', json_extract(checkout_step, '$[0]'),
            'transaction', transaction_entity,
            'refund', refund_entity,
            'screen', json_extract(mobile_screen, '$[0]'),
            'is_robot', json_extract_string(spiders_and_robots, '$[0].spiderOrRobot')
        )
    ) as properties,
    reason
from named
