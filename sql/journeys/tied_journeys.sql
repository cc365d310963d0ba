-- In each model, how many journeys of more than one stage visit have only ties to order their visits.
-- Grain: model_index.
select
    model_index,
    count(is_tied_alone) as moving_count,
    count(*) filter (where is_tied_alone) as tied_count
from journeys.path_codes as codes
group by model_index
