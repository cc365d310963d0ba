-- Hits of an Adobe Analytics data feed as canonical events.
-- Grain: one row per hit of the file.
with
raw_hits as (
    select
        record_ix, source_row, hit_time, visid_high, visid_low, hitid_high, hitid_low, user_id, visit_num, visit_page_num, event_list,
        page_event, pagename, page_url, referrer, campaign, link, product_list, purchase_id, currency, section, country, user_agent,
        exclude_hit, hit_source, reason
    from raw
),

-- Events are numbers, separated by commas; a value may follow one (`200=3`).
named as (
    select
        raw_hits.*,
        visid_high || '.' || visid_low as visitor_id,
        case
            when page_event not in ('0', '10', '11') then 'link_click'
            when regexp_matches(event_list, '(^|,)1(=|,|$)') then 'purchase'
            when regexp_matches(event_list, '(^|,)11(=|,|$)') then 'checkout_started'
            when regexp_matches(event_list, '(^|,)(10|12)(=|,|$)') then 'add_to_cart'
            when regexp_matches(event_list, '(^|,)13(=|,|$)') then 'remove_from_cart'
            when regexp_matches(event_list, '(^|,)14(=|,|$)') then 'cart_view'
            when regexp_matches(event_list, '(^|,)2(=|,|$)') then 'product_view'
            when page_event in ('10', '11') then 'link_click'
            else 'page_view'
        end as canonical_name
    from raw_hits
)

select
    record_ix,
    source_row,
    hitid_high || '.' || hitid_low as event_id,
    case
        when regexp_full_match(hit_time, '\d{9,11}') then cast(make_timestamp(cast(hit_time as bigint) * 1000000) as varchar) || '+00'
        else hit_time
    end as occurred_at,
    visitor_id as anonymous_id,
    user_id,
    visitor_id || '.' || nullif(visit_num, '0') as session_id,
    try_cast(visit_page_num as bigint) as sequence,
    canonical_name as event_name,
    'web' as channel,
    page_url as page_path,
    referrer as referrer_host,
    campaign as utm_campaign,
    coalesce(link, pagename) as target,
    user_agent,
    -- Products: category;name;quantity;price;…, separated by commas.
    case
        when canonical_name = 'purchase' then list_sum(
            list_transform(string_split(product_list, ','), lambda product: try_cast(split_part(product, ';', 4) as decimal(18, 4)))
        )
    end as revenue_amount,
    case when canonical_name = 'purchase' then currency end as currency,
    json_merge_patch(
        '{}',
        json_object(
            'page_name', pagename, 'section', section, 'country', country, 'order_id', purchase_id, 'campaign', campaign,
            'exclude_hit', exclude_hit, 'hit_source', hit_source
        )
    ) as properties,
    reason
from named
