-- Segment messages as canonical events.
-- Grain: one row per message of the file.
with
raw_messages as (
    select
        record_ix, source_row, message_id, type, event, name, anonymous_id, user_id, previous_id, stamp, received_at, page_path,
        page_url, referrer, campaign_source, campaign_medium, campaign_name, campaign_term, campaign_content, user_agent,
        library, revenue, currency, properties, reason
    from raw
),

-- The names of the e-commerce specification become those of the vocabulary.
named as (
    select
        raw_messages.*,
        case
            when type in ('page', 'screen') then 'page_view'
            when type = 'track' then
                case lower(event)
                    when 'product viewed' then 'product_view'
                    when 'products searched' then 'search'
                    when 'product added' then 'add_to_cart'
                    when 'product removed' then 'remove_from_cart'
                    when 'checkout started' then 'checkout_started'
                    when 'payment info entered' then 'payment_info'
                    when 'order completed' then 'purchase'
                    when 'order refunded' then 'refund'
                    when 'product reviewed' then 'review'
                    when 'product shared' then 'share'
                    when 'signed up' then 'sign_up'
                    else event
                end
            else type
        end as canonical_name
    from raw_messages
)

select
    record_ix,
    source_row,
    message_id as event_id,
    stamp as occurred_at,
    received_at,
    -- The former id of an alias call may be that of a device as well as a user's.
    case when type = 'alias' then coalesce(anonymous_id, previous_id) else anonymous_id end as anonymous_id,
    user_id,
    canonical_name as event_name,
    case when type = 'screen' or contains(library, 'ios') or contains(library, 'android') then 'app' else 'web' end as channel,
    coalesce(page_path, page_url) as page_path,
    referrer as referrer_host,
    campaign_source as utm_source,
    campaign_medium as utm_medium,
    campaign_name as utm_campaign,
    campaign_term as utm_term,
    campaign_content as utm_content,
    case when type = 'screen' then name end as target,
    user_agent,
    case when canonical_name in ('purchase', 'refund') then revenue end as revenue_amount,
    currency,
    json_merge_patch(
        coalesce(cast(properties as json), '{}'), json_object('type', type, 'name', name, 'previous_id', previous_id)
    ) as properties,
    reason
from named
