-- How many of those who are pending are expected to reach the last step.
-- Grain: funnel, persona, step_index.
select
    steps.funnel,
    forecast.persona,
    forecast.step_index,
    steps.step,
    funnels.unit,
    forecast.pending_count,
    cast(forecast.expected_count as decimal(18, 4)) as expected_count,
    forecast.low,
    forecast.high,
    try_cast(
        forecast.expected_count * coalesce(own.mean_value_amount, everybody.mean_value_amount) as decimal(18, 4)
    ) as expected_amount,
    settings.report_currency as currency
from analyses.pending_forecast as forecast
inner join config.funnels on funnels.funnel_index = forecast.funnel_index
inner join config.funnel_steps as steps
    on steps.funnel_index = forecast.funnel_index
    and steps.step_index = forecast.step_index
cross join config.settings
left join funnels.funnel_values as own
    on own.funnel_index = forecast.funnel_index
    and own.persona = forecast.persona
    and own.period = 'all'
left join funnels.funnel_values as everybody
    on everybody.funnel_index = forecast.funnel_index
    and everybody.persona = 'all'
    and everybody.period = 'all'
