-- People in no persona, personas without people, and devices without an account.
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
