-- What those who left a step did next, rare actions together.
-- Grain: funnel, persona, period, step_index, next_action.
with actions_ranked as (
    select
        funnel_index,
        persona,
        period,
        step_index,
        next_action,
        drop_off_count,
        row_number() over (
            partition by funnel_index, persona, period, step_index
            order by drop_off_count desc, next_action
            rows between unbounded preceding and current row
        ) as action_rank,
        sum(drop_off_count) over (
            partition by funnel_index, persona, period, step_index
            order by drop_off_count desc, next_action
            rows between unbounded preceding and unbounded following
        ) as step_count
    from funnels.drop_off_actions as actions
),

-- The twenty most frequent that make up a hundredth or more are named; `none` always is.
rare_ones_named as (
    select
        funnel_index,
        persona,
        period,
        step_index,
        case
            when next_action = 'none' or (action_rank <= 20 and drop_off_count * 100 >= step_count) then next_action
            else 'other'
        end as next_action,
        drop_off_count,
        step_count
    from actions_ranked
)

select
    funnels.funnel,
    rare_ones_named.persona,
    rare_ones_named.period,
    rare_ones_named.step_index,
    rare_ones_named.next_action,
    cast(sum(rare_ones_named.drop_off_count) as bigint) as drop_off_count,
    cast(sum(rare_ones_named.drop_off_count) as double) / cast(rare_ones_named.step_count as double) as share_rate
from rare_ones_named
inner join config.funnels on funnels.funnel_index = rare_ones_named.funnel_index
group by
    funnels.funnel, rare_ones_named.persona, rare_ones_named.period, rare_ones_named.step_index,
    rare_ones_named.next_action, rare_ones_named.step_count
