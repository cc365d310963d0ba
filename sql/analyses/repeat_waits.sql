-- Waits from an order to the next, counted in slots of time: hours for a week, then days for two years.
-- Grain: persona, order_number, period, last_slot.
with waits_measured as (
    select
        coalesce(facts.persona, 'unassigned') as persona,
        orders.order_number,
        days.month,
        date_diff('microsecond', orders.ordered_at, orders.next_ordered_at) as wait_us,
        date_diff('microsecond', orders.ordered_at, settings.high_water_at) as observed_us
    from analyses.orders
    cross join config.settings
    inner join config.day_dates as days
        on days.utc_date = cast(orders.ordered_at as date)
        and orders.ordered_at >= days.start_at
        and orders.ordered_at < days.end_at
    left join journeys.journey_facts as facts
        on facts.person_key = orders.person_key
        and facts.journey_index = orders.journey_index
),

waits_placed as (
    select
        persona,
        order_number,
        month,
        wait_us is not null as is_repeated,
        wait_us is null and observed_us < 15552000000000 as is_pending,
        -- The slot in which the wait ended, and the last slot that is over.
        case when wait_us <= 604800000000 then ceil(wait_us / 3600000000) else ceil(wait_us / 86400000000) + 161 end
            as end_slot,
        case
            when observed_us < 604800000000 then floor(observed_us / 3600000000)
            else floor(observed_us / 86400000000) + 161
        end as over_slot
    from waits_measured
),

waits_ended as (
    select
        persona,
        order_number,
        month,
        is_repeated,
        is_pending,
        -- Who ordered again in a slot that is not over for them waited to the one before, as all others of that day.
        cast(least(coalesce(end_slot, over_slot), over_slot, 891) as integer) as last_slot,
        coalesce(end_slot <= least(over_slot, 891), false) as is_ended
    from waits_placed
)

select
    coalesce(persona, 'all') as persona,
    order_number,
    coalesce(month, 'all') as period,
    last_slot,
    count(*) as order_count,
    count(*) filter (where is_ended) as ended_count,
    count(*) filter (where not is_ended) as unfinished_count,
    count(*) filter (where is_repeated) as ordered_again_count,
    count(*) filter (where is_pending) as pending_count
from waits_ended
group by grouping sets (
    (persona, order_number, month, last_slot),
    (persona, order_number, last_slot),
    (order_number, month, last_slot),
    (order_number, last_slot)
)
