-- Journeys whose stages only ties put in order: dates without a clock.
-- Grain: none; blind_spots adds up rows of one kind and subject.
with orders_counted as (
    select models.model, tied_journeys.moving_count, tied_journeys.tied_count
    from journeys.tied_journeys
    inner join config.models on models.model_index = tied_journeys.model_index
)

select
    'tied_stages' as kind,
    model as subject,
    case
        when tied_count > 0.5 * moving_count then 'critical'
        when tied_count >= 0.05 * moving_count then 'warning'
        else 'note'
    end as severity,
    tied_count as item_count,
    cast(tied_count as double) / moving_count as share_rate,
    concat(
        'In ', tied_count, ' of ', moving_count, ' journeys with more than one stage visit of model ', model,
        ', no two stages are at different times: the order of the model is assumed there, and no return can be seen. ',
        'Map times with a clock, or a `sequence`, where the source has one.'
    ) as detail
from orders_counted
where tied_count > 0
