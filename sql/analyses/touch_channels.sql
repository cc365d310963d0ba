-- The marketing channels by number: those of the configuration and of the spend, then the most frequent; the rest is `other`.
-- Grain: channel.
with channels_counted as (
    select channel, count(*) as touch_count
    from analyses.touches
    group by channel
),

channels_named as (
    select channel
    from config.attribution_channels
    where channel <> 'none'
    union
    select channel
    from sources.spend
),

channels_ranked as (
    select
        coalesce(channels_counted.channel, channels_named.channel) as channel,
        row_number() over (
            order by
                coalesce(channels_counted.channel, channels_named.channel) <> 'direct',
                channels_named.channel is null,
                coalesce(channels_counted.touch_count, 0) desc,
                coalesce(channels_counted.channel, channels_named.channel)
        ) as place
    from channels_counted
    full outer join channels_named on channels_named.channel = channels_counted.channel
),

channels_shown as (
    select
        channel,
        -- Whatever an address says is a channel: beyond fifty they are read by nobody.
        case when place <= 50 then replace(channel, ' > ', ' ') else 'other' end as shown_channel
    from channels_ranked
)

select
    channel,
    shown_channel,
    cast(dense_rank() over (order by shown_channel) as integer) as channel_ix
from channels_shown
