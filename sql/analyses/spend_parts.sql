-- Spend by channel in the report currency: of all persons by month, and shared among personas by the touches they had.
-- Grain: shown_channel, persona, period.
with spend_converted as (
    select
        channels.shown_channel,
        days.month,
        try_cast(cast(spend.amount as double) * cast(rates.rate as double) as decimal(18, 4)) as amount,
        try_cast(cast(spend.amount as double) * cast(rates.rate as double) as decimal(18, 4)) is null as is_rate_missing
    from sources.spend
    -- Spend is compared with the days that the events cover.
    inner join config.days on days.day = spend.spend_date
    inner join analyses.touch_channels as channels on channels.channel = spend.channel
    cross join config.settings
    left join config.rates on rates.currency = coalesce(spend.currency, settings.report_currency)
),

months_summed as (
    select
        shown_channel,
        month,
        sum(amount) as amount,
        bool_or(is_rate_missing) as is_rate_missing
    from spend_converted
    group by shown_channel, month
),

touches_counted as (
    select channels.shown_channel, months.month, facts.persona, count(*) as touch_count
    from analyses.touches
    inner join analyses.touch_channels as channels on channels.channel = touches.channel
    inner join months_summed on months_summed.shown_channel = channels.shown_channel
    inner join config.months
        on months.month = months_summed.month
        and touches.occurred_at >= months.start_at
        and touches.occurred_at < months.end_at
    inner join journeys.journey_facts as facts
        on facts.person_key = touches.person_key
        and facts.journey_index = touches.journey_index
    group by channels.shown_channel, months.month, facts.persona
),

touches_summed as (
    select
        shown_channel,
        month,
        persona,
        touch_count,
        sum(touch_count) over (
            partition by shown_channel, month order by persona rows between unbounded preceding and current row
        ) as touches_so_far,
        sum(touch_count) over (partition by shown_channel, month) as touches_of_all
    from touches_counted
),

-- Differences of rounded sums, so that the parts add up to the whole.
personas_shared as (
    select
        touches_summed.shown_channel,
        touches_summed.persona,
        cast(months_summed.amount * touches_summed.touches_so_far / touches_summed.touches_of_all as decimal(38, 4))
        - cast(
            months_summed.amount * (touches_summed.touches_so_far - touches_summed.touch_count)
            / touches_summed.touches_of_all as decimal(38, 4)
        ) as amount,
        months_summed.is_rate_missing
    from touches_summed
    inner join months_summed
        on months_summed.shown_channel = touches_summed.shown_channel
        and months_summed.month = touches_summed.month
),

parts_gathered as (
    select shown_channel, persona, 'all' as period, amount, is_rate_missing
    from personas_shared

    union all

    select shown_channel, 'all' as persona, coalesce(month, 'all') as period, sum(amount) as amount, bool_or(is_rate_missing)
    from months_summed
    group by grouping sets ((shown_channel, month), (shown_channel))
)

select
    shown_channel,
    persona,
    period,
    -- A sum with an amount that has no rate is none.
    case when not bool_or(is_rate_missing) then cast(sum(amount) as decimal(38, 4)) end as spend_amount
from parts_gathered
group by shown_channel, persona, period
