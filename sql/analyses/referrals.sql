-- Who was brought by which person, as far as the data say so, and why not otherwise.
-- Grain: person_key.
with firsts as (
    select person_key, entered_at as joined_at
    from kernel.journeys
    where journey_index = 1
),

claims_of_persons as (
    select kernel_events.person_key, claims.said_user_key, claims.said_device_key, claims.said_at
    from analyses.referral_claims as claims
    inner join kernel.events as kernel_events on kernel_events.event_ix = claims.event_ix

    union all

    select users.person_key, claims.said_user_key, claims.said_device_key, claims.said_at
    from analyses.referral_claims as claims
    inner join identity.users as users on users.user_key = claims.user_key
    cross join config.settings
    where claims.event_ix is null and (claims.said_at is null or claims.said_at <= settings.high_water_at)
),

-- A text that is the id of a user and of a device is that of the user.
claims_resolved as (
    select
        claims_of_persons.person_key,
        firsts.joined_at,
        claims_of_persons.said_at,
        claims_of_persons.said_user_key,
        bringers.person_key as bringer_key,
        bringers.joined_at as bringer_joined_at,
        -- Nobody is brought by a person who came later or in the same instant. So there is no circle either.
        case
            when bringers.person_key is null then 'unknown'
            when bringers.person_key = claims_of_persons.person_key then 'self'
            when bringers.joined_at >= firsts.joined_at then 'later'
            else 'brought'
        end as outcome
    from claims_of_persons
    inner join firsts on firsts.person_key = claims_of_persons.person_key
    left join identity.users as users on users.user_key = claims_of_persons.said_user_key
    left join identity.identities as identities on identities.device_key = claims_of_persons.said_device_key
    left join firsts as bringers on bringers.person_key = coalesce(users.person_key, identities.person_key)
),

-- The earliest that can be true counts.
claims_ranked as (
    select
        person_key,
        joined_at,
        bringer_key,
        bringer_joined_at,
        outcome,
        row_number() over (
            partition by person_key
            order by
                case outcome when 'brought' then 1 when 'later' then 2 when 'unknown' then 3 else 4 end,
                said_at nulls last, bringer_key, said_user_key
        ) as claim_rank
    from claims_resolved
),

bringers_counted as (
    select person_key, count(distinct bringer_key) as bringer_count
    from claims_resolved
    where outcome = 'brought'
    group by person_key
),

referrals_chosen as (
    select person_key, joined_at, bringer_key, bringer_joined_at, outcome
    from claims_ranked
    where claim_rank = 1
)

select
    chosen.person_key,
    chosen.joined_at,
    chosen.outcome,
    coalesce(bringers_counted.bringer_count, 0) > 1 as is_disputed,
    case when chosen.outcome = 'brought' then chosen.bringer_key end as bringer_key,
    case when chosen.outcome = 'brought' then date_diff('microsecond', chosen.bringer_joined_at, chosen.joined_at) end as wait_us,
    case
        when chosen.outcome = 'brought' and orders.ordered_at <= chosen.joined_at
            then date_diff('microsecond', orders.ordered_at, chosen.joined_at)
    end as order_wait_us
from referrals_chosen as chosen
left join bringers_counted on bringers_counted.person_key = chosen.person_key
left join analyses.orders as orders on orders.person_key = chosen.bringer_key and orders.order_number = 1
