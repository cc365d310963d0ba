-- Texts that name nobody in place of an id, sessions in place of persons, users of more devices than a person has, and names that were shortened.
-- Grain: none; blind_spots adds up rows of one kind and subject.
with events_counted as (
    select
        source,
        count(*) filter (where has_placeholder_id) as placeholder_count,
        -- GA4: see the adapter.
        count(*) filter (where starts_with(anonymous_id, 'session.') and anonymous_id = session_id) as session_visitor_count,
        count(*) as event_count
    from sources.events
    group by source
),

-- Loading keeps 999 characters of a longer name, and this mark of it. They are few: a filter reads less than a count.
events_shortened as (
    select source, count(*) as shortened_count
    from sources.events
    where
        (channel like '%…' and length(channel) = 1000)
        or (utm_source like '%…' and length(utm_source) = 1000)
        or (utm_medium like '%…' and length(utm_medium) = 1000)
        or (utm_campaign like '%…' and length(utm_campaign) = 1000)
        or (utm_term like '%…' and length(utm_term) = 1000)
        or (utm_content like '%…' and length(utm_content) = 1000)
        or (referrer_host like '%…' and length(referrer_host) = 1000)
        or (page_path like '%…' and length(page_path) = 1000)
        or (target like '%…' and length(target) = 1000)
    group by source
),

devices_owned as (
    select person_key, device_key
    from identity.identities
    where decision = 'joined'

    union

    select person_key, device_key
    from identity.shared_device_persons
),

-- More than twenty devices are no person's: a test account, a till, or a text that stands for nobody.
owners_of_many as (
    select person_key, count(*) as device_count
    from devices_owned
    group by person_key
    having count(*) > 20
),

owners_summed as (
    select count(*) as owner_count, sum(device_count) as device_count, max(device_count) as most_device_count
    from owners_of_many
),

owned_total as (
    select count(distinct device_key) as device_count
    from devices_owned
)

select
    'placeholder_ids' as kind,
    concat('source: ', source) as subject,
    case when placeholder_count >= 0.05 * event_count then 'warning' else 'note' end as severity,
    placeholder_count as item_count,
    cast(placeholder_count as double) / event_count as share_rate,
    concat(
        placeholder_count, ' of ', event_count, ' events (', round(100.0 * placeholder_count / event_count, 1),
        ' %) name a user or device by a text that stands for nobody, such as null or 0; it counts as no id. See where the source writes it.'
    ) as detail
from events_counted
where placeholder_count > 0

union all

select
    'session_visitors' as kind,
    concat('source: ', source) as subject,
    case when session_visitor_count >= 0.05 * event_count then 'warning' else 'note' end as severity,
    session_visitor_count as item_count,
    cast(session_visitor_count as double) / event_count as share_rate,
    concat(
        session_visitor_count, ' of ', event_count, ' events (', round(100.0 * session_visitor_count / event_count, 1),
        ' %) name no device and no user, only a session, which counts as a person: who comes back is another one, ',
        'and two who begin in one second on like devices may be one.'
    ) as detail
from events_counted
where session_visitor_count > 0

union all

select
    'implausible_ids' as kind,
    'users of many devices' as subject,
    'warning' as severity,
    owners_summed.owner_count as item_count,
    least(cast(owners_summed.device_count as double) / owned_total.device_count, 1) as share_rate,
    concat(
        owners_summed.owner_count, ' users have more than 20 devices each, the most ', owners_summed.most_device_count,
        ': probably an account that many people use, or a text that stands for nobody. If so, list it in `null_ids`.'
    ) as detail
from owners_summed
cross join owned_total
where owners_summed.owner_count > 0

union all

select
    'shortened_names' as kind,
    concat('source: ', events_counted.source) as subject,
    'note' as severity,
    events_shortened.shortened_count as item_count,
    cast(events_shortened.shortened_count as double) / events_counted.event_count as share_rate,
    concat(
        events_shortened.shortened_count, ' of ', events_counted.event_count, ' events have a channel, campaign, page or another name of more than 1,000 characters; ',
        'only its beginning is kept, so names that begin alike are one. See whether the column holds what it should.'
    ) as detail
from events_shortened
inner join events_counted on events_counted.source = events_shortened.source
