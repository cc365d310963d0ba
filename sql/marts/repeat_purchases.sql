-- Who orders again, and how soon: from each order to the next.
-- Grain: persona, order_number, period.
with waits_summed as (
    select
        persona,
        order_number,
        period,
        cast(sum(order_count) as bigint) as person_count,
        cast(sum(ordered_again_count) as bigint) as ordered_again_count,
        cast(sum(pending_count) as bigint) as pending_count
    from analyses.repeat_waits
    group by persona, order_number, period
)

select
    waits_summed.persona,
    waits_summed.order_number,
    waits_summed.period,
    waits_summed.person_count,
    waits_summed.ordered_again_count,
    waits_summed.person_count - waits_summed.ordered_again_count - waits_summed.pending_count as not_again_count,
    waits_summed.pending_count,
    rates.within_30d_rate,
    rates.within_30d_low,
    rates.within_30d_high,
    rates.within_60d_rate,
    rates.within_60d_low,
    rates.within_60d_high,
    rates.within_90d_rate,
    rates.within_90d_low,
    rates.within_90d_high,
    rates.within_180d_rate,
    rates.within_180d_low,
    rates.within_180d_high,
    rates.p50_seconds,
    waits_summed.person_count < settings.min_count as is_small
from waits_summed
cross join config.settings
left join analyses.repeat_rates as rates
    on rates.persona = waits_summed.persona
    and rates.order_number = waits_summed.order_number
    and rates.period = waits_summed.period
