-- Why a funnel's rate changed from one month to the next: who came, and what they did at each step.
-- Grain: funnel, dimension, slice, period, step_index.
select
    steps.funnel,
    changes.dimension,
    changes.slice,
    changes.period,
    changes.step_index,
    case when changes.step_index = 1 then 'mix' else 'step' end as factor,
    steps.step,
    changes.old_period,
    cast(changes.age_us as double) / 1000000 as age_seconds,
    changes.old_count,
    changes.new_count,
    changes.pending_count,
    changes.old_rate,
    changes.new_rate,
    changes.old_factor,
    changes.new_factor,
    changes.effect,
    changes.effect_low,
    changes.effect_high,
    changes.share_of_change,
    coalesce(changes.effect_low > 0 or changes.effect_high < 0, false) as is_beyond_noise,
    changes.q_value,
    changes.is_small
from analyses.rate_changes as changes
inner join config.funnel_steps as steps
    on steps.funnel_index = changes.funnel_index and steps.step_index = changes.step_index
