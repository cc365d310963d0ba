-- Validates records of every source: reason of rejection, canonical names, page paths without secrets, keys.
-- Grain: one row per readable record of the file.
with
typed as (
    select
        record_ix, source_row, event_id, occurred_at, has_occurred, received_at, has_received, anonymous_id, user_id,
        session_id, sequence, event_name, channel, utm_source, utm_medium, utm_campaign, utm_term, utm_content,
        referrer_host, page_path, target, user_agent, revenue_amount, has_amount, currency, properties, content,
        quarantine_raw, reason, has_placeholder_id, query
    from typed_records
),

-- One row: settings of the source and the project for all records of the file.
settings as (
    select source, first_loaded_at, clock_skew_us, floor_at, default_channel from load_settings
),

-- Event names of the source become those of the built-in models.
renamed as (
    select
        typed.*,
        settings.source, settings.first_loaded_at, settings.clock_skew_us, settings.floor_at,
        coalesce(load_renames.new_name, typed.event_name) as canonical_name,
        coalesce(typed.channel, settings.default_channel) as canonical_channel,
        try_cast(typed.sequence as bigint) as sequence_number
    from typed
    cross join settings
    left join load_renames on load_renames.old_name = typed.event_name
),

-- Only the path of a page is stored: host, query and fragment may carry personal data.
cut as (
    select
        record_ix, source_row, event_id, source, occurred_at, received_at,
        anonymous_id, user_id, session_id, sequence_number as sequence,
        canonical_name as event_name, canonical_channel as channel, has_placeholder_id,
        utm_source, utm_medium, utm_campaign, utm_term, utm_content, query,
        case
            when contains(referrer_host, '/')
                then nullif(lower(regexp_extract(referrer_host, '^(?:[A-Za-z][A-Za-z0-9+.-]*:)?//(?:[^/?#@]*@)?([^/?#:]*)', 1)), '')
            when contains(referrer_host, '@') or contains(referrer_host, '?') or contains(referrer_host, '#')
                then nullif(lower(regexp_extract(referrer_host, '^(?:[^?#@]*@)?([^?#:]*)', 1)), '')
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
            -- No file can hold what arrives after it is loaded, so a later arrival protects no time.
            when epoch_us(occurred_at) > epoch_us(least(coalesce(received_at, first_loaded_at), first_loaded_at)) + clock_skew_us
                then 'future'
            when has_amount and revenue_amount is null then 'bad_amount'
            when sequence is not null and sequence_number is null then 'bad_sequence'
            when is_longer(canonical_name, 1000) or is_longer(anonymous_id, 1000) or is_longer(user_id, 1000)
                or is_longer(session_id, 1000) or is_longer(event_id, 1000) then 'too_long'
        end as reason
    from renamed
),

-- Untrusted values may contain e-mail and IP addresses, and tokens: names of events and channels are published, the others are
-- stored for conditions. A macro writes its argument several times, so each is called in a step of its own.
masked as (
    select
        record_ix, source_row, event_id, source, occurred_at, received_at,
        without_address(anonymous_id) as anonymous_id, user_id, session_id, sequence,
        without_emails(event_name) as event_name,
        without_emails(channel) as channel,
        without_emails(utm_source) as utm_source,
        without_emails(utm_medium) as utm_medium,
        without_emails(utm_campaign) as utm_campaign,
        without_emails(utm_term) as utm_term,
        without_emails(utm_content) as utm_content,
        query,
        case when referrer_host between '0' and ':' then without_address(referrer_host) else referrer_host end as referrer_host,
        without_emails(page_path) as page_path,
        without_emails(target) as target,
        user_agent, revenue_amount, currency, properties, content, quarantine_raw, reason, has_placeholder_id
    from cut
),

cleaned as (
    select
        record_ix, source_row, event_id, source, occurred_at, received_at,
        case when anonymous_id is not null then cast(md5_number('d:' || anonymous_id) >> 64 as ubigint) end as device_key,
        case when user_id is not null then cast(md5_number('u:' || user_id) >> 64 as ubigint) end as user_key,
        anonymous_id, user_id, session_id, sequence,
        without_secrets(event_name) as event_name,
        without_secrets(channel) as channel,
        utm_source, utm_medium, utm_campaign, utm_term, utm_content, query, referrer_host,
        without_secrets(page_path) as page_path,
        without_secrets(target) as target,
        user_agent, revenue_amount, currency, properties_cut(properties) as properties, content, quarantine_raw, reason,
        has_placeholder_id
    from masked
)

-- Only an id or an event name that is too long costs its record (`too_long`): shortened, it could be another one.
select
    record_ix, source_row, event_id, source, occurred_at, received_at, device_key, user_key, anonymous_id, user_id,
    session_id, sequence, event_name,
    shortened(channel) as channel,
    shortened(utm_source) as utm_source,
    shortened(utm_medium) as utm_medium,
    shortened(utm_campaign) as utm_campaign,
    shortened(utm_term) as utm_term,
    shortened(utm_content) as utm_content,
    query,
    shortened(referrer_host) as referrer_host,
    shortened(page_path) as page_path,
    shortened(target) as target,
    shortened(user_agent) as user_agent,
    revenue_amount,
    shortened(currency) as currency,
    case
        -- The former id of an alias event is an identifier: a placeholder would make all who have it one person.
        when event_name = 'alias' and json_exists(properties, '/previous_id')
            then json_merge_patch(properties, json_object('previous_id', identifier_of(number_text(properties, '/previous_id'))))
        else properties
    end as properties,
    content, quarantine_raw, reason, has_placeholder_id
from cleaned
