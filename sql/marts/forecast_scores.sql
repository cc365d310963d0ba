-- Forecasts of earlier runs, and what came of them.
-- Grain: funnel, forecast_at, persona, step_index.
select
    funnel,
    forecast_at,
    persona,
    step_index,
    due_at,
    pending_count,
    cast(expected_count as decimal(18, 4)) as expected_count,
    low,
    high,
    settled_count,
    converted_count,
    -- Where the moment's units are no longer the same ones, the interval is of as many.
    case
        when settled_count > 0
            then converted_count * pending_count between low * settled_count and high * settled_count
    end as is_inside
from analyses.forecast_scores as scores
