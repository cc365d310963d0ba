-- What changed at a step with each dated action, against what the other slices did in the same time.
-- Grain: action.
select
    actions.action,
    funnels.funnel,
    steps.step,
    actions.step_index,
    actions.dimension,
    actions.slice,
    actions.first_day,
    effects.before_count,
    effects.before_went_on_count,
    cast(effects.before_went_on_count as double) / nullif(effects.before_count, 0) as before_rate,
    effects.after_count,
    effects.after_went_on_count,
    cast(effects.after_went_on_count as double) / nullif(effects.after_count, 0) as after_rate,
    effects.pending_count,
    effects.ramp_count,
    effects.others_count,
    effects.others_change,
    effects.effect,
    effects.effect_low,
    effects.effect_high,
    coalesce(effects.effect_low > 0 or effects.effect_high < 0, false) as is_beyond_noise,
    effects.effect * effects.after_count as gain,
    effects.placebo_effect,
    effects.grade,
    effects.is_small,
    effects.headline
from config.actions as actions
inner join config.funnels as funnels on funnels.funnel_index = actions.funnel_index
inner join config.funnel_steps as steps
    on steps.funnel_index = actions.funnel_index
    and steps.step_index = actions.step_index
inner join analyses.action_effects as effects on effects.action = actions.action
