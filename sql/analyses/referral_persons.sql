-- How many others each person has brought.
-- Grain: person_key.
with brought_counted as (
    select
        referrals.bringer_key as person_key,
        count(*) as brought_count,
        count(*) filter (where referrals.wait_us <= config_referrals.within_us) as brought_in_time_count,
        count(*) filter (where referrals.order_wait_us <= config_referrals.within_us) as brought_after_order_count
    from analyses.referrals as referrals
    cross join config.referrals as config_referrals
    where referrals.outcome = 'brought'
    group by referrals.bringer_key
)

select
    journeys.person_key,
    coalesce(facts.persona, 'unassigned') as persona,
    date_diff('microsecond', journeys.entered_at, settings.high_water_at) >= config_referrals.within_us as is_settled,
    coalesce(date_diff('microsecond', orders.ordered_at, settings.high_water_at) >= config_referrals.within_us, false)
        as is_order_settled,
    own.person_key is not null as is_brought,
    coalesce(brought_counted.brought_count, 0) as brought_count,
    coalesce(brought_counted.brought_in_time_count, 0) as brought_in_time_count,
    coalesce(brought_counted.brought_after_order_count, 0) as brought_after_order_count
from kernel.journeys as journeys
cross join config.settings
cross join config.referrals as config_referrals
-- The persona of the first journey, so that a person stays in one row for good.
left join journeys.journey_facts as facts
    on facts.person_key = journeys.person_key
    and facts.journey_index = 1
left join analyses.orders as orders on orders.person_key = journeys.person_key and orders.order_number = 1
left join analyses.referrals as own on own.person_key = journeys.person_key and own.outcome = 'brought'
left join brought_counted on brought_counted.person_key = journeys.person_key
where journeys.journey_index = 1
