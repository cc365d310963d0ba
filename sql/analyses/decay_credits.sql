-- What the touches of each channel are worth where a touch counts half after the half-life.
-- Grain: goal_index, persona, month, channel_ix.
with touches_aged as (
    select
        touches.goal_index,
        touches.person_key,
        touches.run_index,
        touches.channel_ix,
        -- Of the last touch 1, so that no path is too old to be shared out.
        pow(
            0.5,
            cast(
                date_diff(
                    'microsecond',
                    touches.occurred_at,
                    max(touches.occurred_at) over (partition by touches.goal_index, touches.person_key, touches.run_index)
                ) as double
            ) / attribution.half_life_us
        ) as weight
    from analyses.path_touches as touches
    inner join config.attribution on attribution.goal_index = touches.goal_index
),

-- Decimals, because their sums are the same in whatever order they are added.
channels_weighed as (
    select goal_index, person_key, run_index, channel_ix, sum(cast(weight as decimal(18, 12))) as weight
    from touches_aged
    group by goal_index, person_key, run_index, channel_ix
),

shares_taken as (
    select
        goal_index,
        person_key,
        run_index,
        channel_ix,
        cast(weight as double)
        / cast(sum(weight) over (partition by goal_index, person_key, run_index) as double) as share_rate
    from channels_weighed
)

select
    paths.goal_index,
    paths.persona,
    paths.month,
    shares_taken.channel_ix,
    sum(cast(shares_taken.share_rate as decimal(38, 12))) as credit,
    sum(cast(shares_taken.share_rate * shares_taken.share_rate * paths.person_goal_count as decimal(38, 12))) as variance,
    sum(cast(shares_taken.share_rate * cast(coalesce(paths.value_amount, 0) as double) as decimal(38, 8))) as value_credit
from shares_taken
inner join analyses.touch_paths as paths
    on paths.goal_index = shares_taken.goal_index
    and paths.person_key = shares_taken.person_key
    and paths.run_index = shares_taken.run_index
where paths.outcome = 'converted'
group by paths.goal_index, paths.persona, paths.month, shares_taken.channel_ix
