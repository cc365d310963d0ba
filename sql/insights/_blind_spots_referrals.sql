-- Statements about who brought a person that cannot be true, or that name several.
-- Grain: none; blind_spots adds up rows of one kind and subject.
with statements_sorted as (
    select
        case
            when outcome = 'unknown' then 'of nobody known'
            when outcome = 'self' then 'the person itself'
            when outcome = 'later' then 'somebody who came later'
            when is_disputed then 'several persons'
        end as fault,
        count(*) over () as person_count
    from analyses.referrals
),

faults_counted as (
    select fault, max(person_count) as person_count, count(*) as item_count
    from statements_sorted
    where fault is not null
    group by fault
)

select
    'referrals' as kind,
    concat(config_referrals.referred_by, ': ', faults.fault) as subject,
    case when faults.item_count >= 0.25 * faults.person_count then 'warning' else 'note' end as severity,
    faults.item_count,
    cast(faults.item_count as double) / faults.person_count as share_rate,
    concat(
        faults.item_count, ' of ', faults.person_count, ' persons with a value of ', config_referrals.referred_by, ', which says who brought them: ',
        case faults.fault
            when 'of nobody known'
                then 'the id is of nobody with an event. They count as brought by nobody. See whether it is a user_id or anonymous_id of the sources.'
            when 'the person itself' then 'it names the person. They count as brought by nobody.'
            when 'somebody who came later'
                then 'the person named was first seen later, or in the same instant. They count as brought by nobody. Do the events go back far enough?'
            else 'it names several who may have. The first one said counts.'
        end
    ) as detail
from faults_counted as faults
cross join config.referrals as config_referrals

union all

select
    'idle_setting' as kind,
    concat('referrals: ', config_referrals.referred_by) as subject,
    'warning' as severity,
    0 as item_count,
    cast(null as double) as share_rate,
    concat('No event or trait of a person has ', config_referrals.referred_by, ', so the table referrals is of nobody. See `referrals: referred_by`.')
        as detail
from config.referrals as config_referrals
where not exists (select 1 from analyses.referrals)
