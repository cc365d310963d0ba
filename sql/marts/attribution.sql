-- Which marketing channels the goals are credited to, by each method, with what the channels cost.
-- Grain: goal, method, persona, channel, period.
with credits_compared as (
    select
        goal_index, method, persona, channel, period, conversion_count, conversion_low, conversion_high, value_amount,
        goal_count, not_converted_count, pending_count,
        min(conversion_count) over (partition by goal_index, persona, channel, period) as least_conversion_count,
        max(conversion_count) over (partition by goal_index, persona, channel, period) as most_conversion_count
    from analyses.channel_credits
)

select
    attribution.goal,
    credits_compared.method,
    credits_compared.persona,
    credits_compared.channel,
    credits_compared.period,
    credits_compared.conversion_count,
    credits_compared.conversion_low,
    credits_compared.conversion_high,
    credits_compared.least_conversion_count,
    credits_compared.most_conversion_count,
    credits_compared.value_amount,
    spend.spend_amount,
    cast(
        round(cast(spend.spend_amount as double) / nullif(cast(credits_compared.conversion_count as double), 0), 4)
        as decimal(38, 4)
    ) as cost_per_conversion_amount,
    cast(credits_compared.value_amount as double) / nullif(cast(spend.spend_amount as double), 0) as return_ratio,
    settings.report_currency as currency,
    credits_compared.goal_count,
    credits_compared.not_converted_count,
    credits_compared.pending_count,
    credits_compared.goal_count < settings.min_count as is_small
from credits_compared
inner join config.attribution on attribution.goal_index = credits_compared.goal_index
cross join config.settings
left join analyses.spend_parts as spend
    on spend.shown_channel = credits_compared.channel
    and spend.persona = credits_compared.persona
    and spend.period = credits_compared.period
