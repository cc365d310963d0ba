-- Lines of a combined (or common) access log as canonical events; the address is hashed and goes nowhere else. The name of the
-- host may stand before it, and further fields at the end of the line.
-- Grain: one row per line of the file.
with
raw_lines as (
    select record_ix, source_row, line from raw
),

parsed as (
    select
        record_ix, source_row, line,
        regexp_extract(
            line,
            '^(?:(\S+) )?(\S+) \S+ (\S+) \[([^\]]+)\] "((?:[^"\\]|\\.)*)" (\d{3}) (\d+|-)'
            || '(?: "((?:[^"\\]|\\.)*)" "((?:[^"\\]|\\.)*)")?(?: "(?:[^"\\]|\\.)*"| [^\s"]\S*)*\s*$',
            ['host', 'address', 'login', 'stamp', 'request', 'status', 'byte_count', 'referrer', 'agent']
        ) as fields
    from raw_lines
),

fields_named as (
    select
        record_ix, source_row, line,
        fields['status'] <> '' as is_parsed,
        nullif(fields['host'], '') as host,
        nullif(fields['address'], '') as address,
        nullif(nullif(fields['login'], '-'), '') as login,
        fields['stamp'] as stamp,
        regexp_extract(fields['request'], '^(\S+) (\S+)(?: HTTP[/ ][0-9.]+)?$', ['method', 'target']) as request,
        nullif(fields['status'], '') as status,
        nullif(nullif(fields['byte_count'], '-'), '') as byte_count,
        nullif(nullif(fields['referrer'], '-'), '') as referrer,
        nullif(nullif(fields['agent'], '-'), '') as agent
    from parsed
),

-- Device = keyed hash of address and agent: two people behind one address with one browser are one device.
devices_hashed as (
    select
        fields_named.*,
        case
            when is_parsed then left(
                sha256(
                    getvariable('outer_key')
                    || sha256(getvariable('inner_key') || address || chr(31) || coalesce(agent, chr(30)))
                ),
                32
            )
        end as device,
        -- The line without its address: an unkeyed hash of an address could be undone by trying all of them.
        coalesce(host || ' ', '')
            || substr(substr(line, coalesce(length(host), -1) + 2), strpos(substr(line, coalesce(length(host), -1) + 2), ' '))
            as line_without_address,
        try_strptime(stamp, '%d/%b/%Y:%H:%M:%S %z') as zoned_stamp,
        try_strptime(stamp, '%d/%b/%Y:%H:%M:%S') as naive_stamp
    from fields_named
)

select
    record_ix,
    source_row,
    -- A stamp without an offset is in the zone of the source.
    case
        when zoned_stamp is not null then strftime(zoned_stamp at time zone 'UTC', '%Y-%m-%d %H:%M:%S+00')
        when naive_stamp is not null then strftime(naive_stamp, '%Y-%m-%d %H:%M:%S')
        else stamp
    end as occurred_at,
    device as anonymous_id,
    cast(source_row as varchar) as sequence,
    case when is_parsed then 'page_view' end as event_name,
    'web' as channel,
    referrer as referrer_host,
    nullif(request['target'], '') as page_path,
    agent as user_agent,
    json_merge_patch(
        json_object(
            'method', nullif(request['method'], ''), 'status', cast(status as integer), 'byte_count', try_cast(byte_count as bigint)
        ),
        case when host is not null then json_object('host', host) else '{}'::json end
    ) as properties,
    device || line_without_address as content,
    case when not is_parsed then 'bad_record' end as reason,
    without_addresses(line) as quarantine_raw
from devices_hashed
