-- The marketing channels by number: those of the configuration, then the most frequent, then those of the spend; the rest is `other`.
-- Grain: channel.
with names_gathered as (
    select channel, count(*) as touch_count, false as is_own
    from analyses.touches
    group by channel

    union all

    select channel, 0 as touch_count, true as is_own
    from config.attribution_channels
    where channel <> 'none'

    union all

    select channel, 0 as touch_count, false as is_own
    from sources.spend
),

-- One channel, however it is spelt; the configuration's spelling is shown.
channels_ranked as (
    select
        lower(channel) as channel_key,
        coalesce(min(channel) filter (where is_own), lower(channel)) as spelling,
        row_number() over (
            order by lower(channel) <> 'direct', not bool_or(is_own), sum(touch_count) desc, lower(channel)
        ) as place
    from names_gathered
    group by lower(channel)
),

channels_shown as (
    select
        channel_key,
        case
            -- Whatever an address says is a channel: beyond fifty they are read by nobody.
            when place > 50 then 'other'
            when channel_key = 'direct' then 'direct'
            -- The row `none` is of goals without a touch.
            when channel_key = 'none' then 'unnamed'
            else replace(spelling, ' > ', ' ')
        end as shown_channel
    from channels_ranked
),

names as (
    select distinct channel
    from names_gathered
)

select
    names.channel,
    channels_shown.shown_channel,
    cast(dense_rank() over (order by channels_shown.shown_channel) as integer) as channel_ix
from names
inner join channels_shown on channels_shown.channel_key = lower(names.channel)
