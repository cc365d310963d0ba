-- Which visits are touches, and the marketing channel that each came by.
-- Grain: session_ix.
with visits_found as (
    select
        kernel_events.session_ix,
        min(kernel_events.journey_index) as journey_index,
        bool_or(classes.is_touch) as has_touch,
        bool_or(classes.event_channel in ('web', 'app', 'unknown')) as is_site,
        -- Of a visit to the site it is not read.
        min(classes.event_channel) filter (where classes.event_channel not in ('web', 'app', 'unknown')) as event_channel
    from kernel.events as kernel_events
    inner join analyses.event_classes as classes on classes.classification_key = kernel_events.classification_key
    where kernel_events.session_ix is not null and (classes.is_touch or classes.is_goal)
    group by kernel_events.session_ix
),

origins_read as (
    select
        kernel_events.session_ix,
        events.event_ix,
        events.event_id,
        events.occurred_at,
        events.sequence,
        coalesce(
            classes.own_channel,
            case
                when lower(trim(events.utm_medium)) not in ('', '(none)', 'none', '(not set)', 'not set', 'null', 'undefined')
                    then substr(lower(trim(events.utm_medium)), 1, 100)
            end,
            case
                when lower(trim(events.utm_source)) not in ('', '(direct)', '(not set)', 'not set', 'none', 'null', 'undefined')
                    then substr(lower(trim(events.utm_source)), 1, 100)
            end
        ) as stated_channel,
        nullif(lower(trim(events.referrer_host)), '') as host,
        events.occurred_at = sessions.started_at as is_opening
    from kernel.events as kernel_events
    inner join analyses.event_classes as classes on classes.classification_key = kernel_events.classification_key
    inner join kernel.sessions on sessions.session_ix = kernel_events.session_ix
    inner join sources.events on events.event_ix = kernel_events.event_ix
    where
        (classes.is_touch or (classes.is_goal and coalesce(classes.own_channel, '') <> 'none'))
        and coalesce(classes.own_channel, events.utm_medium, events.utm_source, events.referrer_host) is not null
),

visit_hosts as (
    select session_ix, host, bool_or(is_opening) as is_opening
    from origins_read
    where host is not null
    group by session_ix, host
),

-- A host that is met inside visits more often than it opens them is a page of the site itself, or its payment service.
outer_hosts as (
    select host
    from visit_hosts
    group by host
    having 2 * count(*) filter (where is_opening) >= count(*)
),

hosts_named as (
    select outer_hosts.host, coalesce(referrers.channel, 'referral') as channel
    from outer_hosts
    left join config.referrers on contains(concat('.', outer_hosts.host, '.'), concat('.', referrers.site, '.'))
    qualify row_number() over (partition by outer_hosts.host order by length(referrers.site) desc, referrers.site) = 1
),

-- What the visit itself states first, else the referrer of its first event.
origins_chosen as (
    select
        origins_read.session_ix,
        coalesce(origins_read.stated_channel, hosts_named.channel) as channel
    from origins_read
    left join hosts_named on hosts_named.host = origins_read.host
    where origins_read.stated_channel is not null or (origins_read.is_opening and hosts_named.host is not null)
    qualify
        row_number() over (
            partition by origins_read.session_ix
            order by
                origins_read.stated_channel is null, origins_read.occurred_at, origins_read.sequence nulls last,
                origins_read.event_id, origins_read.event_ix
        ) = 1
)

select
    visits_found.session_ix,
    visits_found.journey_index,
    case
        when origins_chosen.channel is not null then origins_chosen.channel
        when visits_found.is_site then 'direct'
        else visits_found.event_channel
    end as channel
from visits_found
left join origins_chosen on origins_chosen.session_ix = visits_found.session_ix
-- A visit that holds nothing but a goal counts where it says where it came from.
where visits_found.has_touch or origins_chosen.session_ix is not null
