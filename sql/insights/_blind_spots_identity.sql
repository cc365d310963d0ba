-- People in no persona, personas without people, devices without an account, placeholder ids, and ids of too many devices.
-- Grain: none; blind_spots adds up rows of one kind and subject.
with personas as (
    select persona, person_count, share_rate
    from marts.personas
),

configured as (
    select count(*) - 1 as persona_count
    from config.personas
),

personas_seen as (
    select persona, count(*) as journey_count
    from journeys.journey_facts
    group by persona
),

devices_summed as (
    select
        coalesce(sum(device_count) filter (where decision = 'anonymous'), 0) as anonymous_count,
        coalesce(sum(device_count) filter (where decision in ('anonymous', 'joined', 'shared_named')), 0) as device_count,
        coalesce(sum(event_count) filter (where decision = 'shared_anonymous'), 0) as shared_event_count,
        coalesce(sum(device_count) filter (where decision = 'shared_anonymous'), 0) as shared_device_count,
        coalesce(sum(event_count) filter (where decision <> 'aliased'), 0) as event_count,
        coalesce(sum(event_count) filter (where decision in ('joined', 'shared_named', 'without_device')), 0) > 0 as has_users
    from marts.identity_audit as decisions
),

placeholders_counted as (
    select
        source,
        count(*) filter (where has_placeholder_id) as placeholder_count,
        count(*) as event_count
    from sources.events
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
    'no_persona' as kind,
    'unassigned' as subject,
    case when configured.persona_count > 0 and personas.share_rate >= 0.5 then 'warning' else 'note' end as severity,
    personas.person_count as item_count,
    personas.share_rate,
    concat(
        personas.person_count, ' persons (', round(100 * personas.share_rate, 1), ' %) are of no persona: ',
        case
            when configured.persona_count = 0 then 'none is configured. See `personas` of the configuration.'
            else 'no rule holds for their latest journey.'
        end
    ) as detail
from personas
cross join configured
where personas.persona = 'unassigned' and personas.person_count > 0

union all

select
    'no_persona' as kind,
    concat('persona: ', personas.persona) as subject,
    'warning' as severity,
    0 as item_count,
    cast(0 as double) as share_rate,
    concat('The rule of persona ', personas.persona, ' holds for nobody, in no journey. See the names and values in it.') as detail
from personas
left join personas_seen on personas_seen.persona = personas.persona
where personas.persona not in ('unassigned', 'all') and personas_seen.persona is null

union all

select
    'unstitched_devices' as kind,
    'anonymous devices' as subject,
    case when has_users and anonymous_count >= 0.5 * device_count then 'warning' else 'note' end as severity,
    cast(anonymous_count as bigint) as item_count,
    cast(anonymous_count as double) / device_count as share_rate,
    concat(
        anonymous_count, ' of ', device_count, ' devices (', round(100.0 * anonymous_count / device_count, 1),
        ' %) were never seen with an account: who uses two of them counts as two persons. ',
        case
            when has_users then 'Where people sign in, see that the event carries the user_id.'
            else 'No source gives a user_id; map one where there is one.'
        end
    ) as detail
from devices_summed
where anonymous_count > 0

union all

select
    'unstitched_devices' as kind,
    'shared devices' as subject,
    'note' as severity,
    cast(shared_device_count as bigint) as item_count,
    cast(shared_event_count as double) / event_count as share_rate,
    concat(
        shared_event_count, ' events of ', shared_device_count,
        ' devices that several accounts share came before any sign-in of their session: they stay with the device.'
    ) as detail
from devices_summed
where shared_event_count > 0

union all

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
from placeholders_counted
where placeholder_count > 0

union all

select
    'implausible_ids' as kind,
    'users of many devices' as subject,
    'warning' as severity,
    owners_summed.owner_count as item_count,
    least(cast(owners_summed.device_count as double) / owned_total.device_count, 1) as share_rate,
    concat(
        owners_summed.owner_count, ' users have more than 20 devices each, the first of them ', owners_summed.most_device_count,
        ': probably an account that many people use, or a text that stands for nobody. If so, list it in `null_ids`.'
    ) as detail
from owners_summed
cross join owned_total
where owners_summed.owner_count > 0
