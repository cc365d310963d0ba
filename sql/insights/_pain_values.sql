-- What one person lost to a pain point is worth, and what is at stake at its stage.
-- Grain: pain_ix, persona, period.
with losses as (
    select pain_ix, model, model_index, stage_index, kind, persona, period, dropped_count
    from insights._pain_losses
),

stakes as (
    select funnels.funnel as model, stakes.persona, stakes.period, stakes.step_index, stakes.value_per_drop_off_amount
    from funnels.funnel_stakes as stakes
    inner join config.funnels on funnels.funnel_index = stakes.funnel_index
    where funnels.kind = 'stages'
),

goal_means as (
    select persona, period, mean_goal_value_amount
    from journeys.mean_goal_values
),

onward_values as (
    select model_index, persona, stage_index, onward_value_amount
    from map.stage_onward_values
),

values_found as (
    select
        losses.pain_ix,
        losses.persona,
        losses.period,
        losses.kind,
        losses.dropped_count,
        -- Where nothing is known of a month the persona's whole time stands in, then that of all personas; where the
        -- funnel does not end with a goal, what journeys that went on brought.
        coalesce(
            own.value_per_drop_off_amount, personas.value_per_drop_off_amount, everyone.value_per_drop_off_amount,
            onward.onward_value_amount, onward_everyone.onward_value_amount
        ) as next_stage_amount,
        coalesce(
            own_means.mean_goal_value_amount, persona_means.mean_goal_value_amount, all_means.mean_goal_value_amount
        ) as mean_goal_value_amount,
        steps.value_at_stake_amount
    from losses
    left join stakes as own
        on own.model = losses.model
        and own.step_index = losses.stage_index
        and own.persona = losses.persona
        and own.period = losses.period
    left join stakes as personas
        on personas.model = losses.model
        and personas.step_index = losses.stage_index
        and personas.persona = losses.persona
        and personas.period = 'all'
    left join stakes as everyone
        on everyone.model = losses.model
        and everyone.step_index = losses.stage_index
        and everyone.persona = 'all'
        and everyone.period = 'all'
    left join onward_values as onward
        on onward.model_index = losses.model_index
        and onward.stage_index = losses.stage_index
        and onward.persona = losses.persona
    left join onward_values as onward_everyone
        on onward_everyone.model_index = losses.model_index
        and onward_everyone.stage_index = losses.stage_index
        and onward_everyone.persona = 'all'
    left join goal_means as own_means on own_means.persona = losses.persona and own_means.period = losses.period
    left join goal_means as persona_means on persona_means.persona = losses.persona and persona_means.period = 'all'
    left join goal_means as all_means on all_means.persona = 'all' and all_means.period = 'all'
    left join marts.funnel_steps as steps
        on steps.funnel = losses.model
        and steps.step_index = losses.stage_index
        and steps.persona = losses.persona
        and steps.period = losses.period
)

select
    pain_ix,
    persona,
    period,
    -- Who is lost to a promise does not reach the goal again: the whole goal is lost, not a chance of it.
    case when kind = 'promise' then mean_goal_value_amount else next_stage_amount end as value_each_amount,
    coalesce(value_at_stake_amount, try_cast(dropped_count * next_stage_amount as decimal(18, 4))) as at_stake_amount
from values_found
