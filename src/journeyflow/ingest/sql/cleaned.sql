-- The step that every source shares: validate, rename, cut addresses of pages, derive keys.
-- Grain: one row per readable record of the file.
with
typed as (
    select
        record_ix, source_row, event_id, occurred_at, has_occurred, received_at, has_received, anonymous_id, user_id,
        session_id, sequence, event_name, channel, utm_source, utm_medium, utm_campaign, utm_term, utm_content,
        referrer_host, page_path, target, user_agent, revenue_amount, has_amount, currency, properties, content,
        quarantine_raw, reason
    from typed_records
),

-- One row: what the source and the project say about all records of the file.
settings as (
    select source, first_loaded_at, clock_skew_us, floor_at, default_channel from load_settings
),

-- The source's names become the vocabulary of the built-in models.
renamed as (
    select
        typed.*,
        settings.source, settings.first_loaded_at, settings.clock_skew_us, settings.floor_at,
        coalesce(load_renames.new_name, typed.event_name) as canonical_name,
        coalesce(typed.channel, settings.default_channel) as canonical_channel,
        try_cast(typed.sequence as bigint) as sequence_number,
        case when contains(typed.page_path, '?') then regexp_extract(typed.page_path, '[?]([^#]*)', 1) end as query
    from typed
    cross join settings
    left join load_renames on load_renames.old_name = typed.event_name
),

-- Only the path of a page is kept: host, query and fragment may carry what nobody asked for.
cut as (
    select
        record_ix, source_row, event_id, source, occurred_at, received_at,
        anonymous_id, user_id, session_id, sequence_number as sequence,
        canonical_name as event_name, canonical_channel as channel,
        utm_source, utm_medium, utm_campaign, utm_term, utm_content, query,
        case
            when contains(referrer_host, '/')
                then nullif(lower(regexp_extract(referrer_host, '^(?:[A-Za-z][A-Za-z0-9+.-]*:)?//(?:[^/?#@]*@)?([^/?#:]*)', 1)), '')
            else lower(referrer_host)
        end as referrer_host,
        case
            when page_path is null then null
            when contains(page_path, '//') or contains(page_path, '?') or contains(page_path, '#')
                then coalesce(
                    nullif(regexp_extract(regexp_replace(page_path, '^[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*', ''), '^[^?#]*', 0), ''), '/'
                )
            else page_path
        end as page_path,
        target, user_agent, revenue_amount, upper(currency) as currency, properties, content, quarantine_raw,
        case
            when reason is not null then reason
            when not has_occurred then 'no_time'
            when occurred_at is null then 'bad_time'
            when canonical_name is null then 'no_name'
            when anonymous_id is null and user_id is null then 'no_identifier'
            when has_received and received_at is null then 'bad_received_time'
            when occurred_at < floor_at then 'before_floor'
            when epoch_us(occurred_at) > epoch_us(coalesce(received_at, first_loaded_at)) + clock_skew_us then 'future'
            when has_amount and revenue_amount is null then 'bad_amount'
            when sequence is not null and sequence_number is null then 'bad_sequence'
            when length(canonical_name) > 1000 or length(anonymous_id) > 1000 or length(user_id) > 1000
                or length(session_id) > 1000 or length(event_id) > 1000 then 'too_long'
        end as reason
    from renamed
),

-- A person's address inside a path would be published with the touchpoint.
cleaned as (
    select
        record_ix, source_row, event_id, source, occurred_at, received_at,
        case when anonymous_id is not null then md5_number_lower('d:' || anonymous_id) end as device_key,
        case when user_id is not null then md5_number_lower('u:' || user_id) end as user_key,
        anonymous_id, user_id, session_id, sequence, event_name, channel,
        utm_source, utm_medium, utm_campaign, utm_term, utm_content, query, referrer_host,
        case
            when contains(page_path, '@') or contains(page_path, '%40')
                then regexp_replace(page_path, '[^/?&=;]*(?:@|%40)[^/?&=;]*', 'e-mail', 'g')
            else page_path
        end as page_path,
        target, user_agent, revenue_amount, currency, properties, content, quarantine_raw, reason
    from cut
)

select
    record_ix, source_row, event_id, source, occurred_at, received_at, device_key, user_key, anonymous_id, user_id,
    session_id, sequence, event_name, channel, utm_source, utm_medium, utm_campaign, utm_term, utm_content, query,
    referrer_host, page_path, target, user_agent, revenue_amount, currency, properties, content, quarantine_raw, reason
from cleaned
