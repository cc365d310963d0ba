-- Provisional: the columns of pain_points, no row.
-- Grain: model, persona, period, pain_rank.
select
    stages.model,
    cast(null as varchar) as persona,
    cast(null as varchar) as period,
    cast(null as bigint) as pain_rank,
    stages.stage,
    cast(null as varchar) as subject,
    cast(null as varchar) as kind,
    cast(null as varchar) as grade,
    cast(null as varchar) as slice,
    cast(null as date) as first_day,
    cast(null as date) as last_day,
    cast(null as boolean) as is_ongoing,
    cast(null as varchar) as scope,
    cast(null as bigint) as person_count,
    cast(null as bigint) as compared_count,
    cast(null as double) as rate,
    cast(null as double) as expected_rate,
    cast(null as bigint) as lost_count,
    cast(null as bigint) as lost_low,
    cast(null as bigint) as lost_high,
    cast(null as double) as q_value,
    cast(null as double) as e_value,
    cast(null as varchar) as headline
from config.stages as stages
where false
