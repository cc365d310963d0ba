-- Stages that a persona, or all of them, never shows.
-- Grain: none; blind_spots adds up rows of one kind and subject.
with shows as (
    select model_index, persona, stage_index, journey_count, show_count
    from journeys.stage_presence
),

stages as (
    select model, model_index, stage, stage_index
    from config.stages
),

personas as (
    select persona, persona_index, is_outcome_based
    from config.personas
),

stages_summed as (
    select
        model_index,
        stage_index,
        cast(sum(journey_count) as bigint) as journey_count,
        cast(sum(show_count) as bigint) as show_count
    from shows
    group by model_index, stage_index
),

-- Who stands behind a persona that an outcome selects was selected by that outcome too.
outcomes_found as (
    select min(persona_index) as persona_index
    from personas
    where is_outcome_based
),

personas_missed as (
    select
        stages.model,
        stages.stage,
        shows.persona,
        shows.journey_count,
        coalesce(personas.persona_index >= outcomes_found.persona_index, false) as is_selected,
        cast(stages_summed.show_count as double)
            / nullif(stages_summed.journey_count - shows.journey_count, 0) as others_rate
    from shows
    cross join config.settings
    cross join outcomes_found
    inner join personas on personas.persona = shows.persona
    inner join stages
        on stages.model_index = shows.model_index
        and stages.stage_index = shows.stage_index
    inner join stages_summed
        on stages_summed.model_index = shows.model_index
        and stages_summed.stage_index = shows.stage_index
    where shows.show_count = 0 and stages_summed.show_count > 0 and shows.journey_count >= settings.min_count
)

select
    'missing_stage' as kind,
    concat(stages.model, ': ', stages.stage) as subject,
    'warning' as severity,
    stages_summed.journey_count as item_count,
    cast(1 as double) as share_rate,
    concat(
        'No event was ever in stage ', stages.stage, ' of model ', stages.model, ', in none of ', stages_summed.journey_count,
        ' journeys. Everybody who comes to the stage before it reads as lost there: see which of your events belong to it.'
    ) as detail
from stages_summed
inner join stages
    on stages.model_index = stages_summed.model_index
    and stages.stage_index = stages_summed.stage_index
where stages_summed.show_count = 0

union all

select
    'missing_stage' as kind,
    concat(model, ': ', stage, ': ', persona) as subject,
    -- By the rule of three: were they like the others, none at all would come about less than once in twenty.
    case when others_rate * journey_count >= 3 and not is_selected then 'warning' else 'note' end as severity,
    journey_count as item_count,
    cast(1 as double) as share_rate,
    concat(
        'Persona ', persona, ' never shows stage ', stage, ' of model ', model, ': none of its ', journey_count, ' journeys, where ',
        round(100 * others_rate, 1), ' % of all others do. ',
        case
            when is_selected then 'A persona that is told by an outcome may leave it without such journeys by definition.'
            else 'See whether its events of that stage are recorded.'
        end
    ) as detail
from personas_missed
