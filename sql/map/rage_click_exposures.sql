-- The stages in which journeys of the map clicked in rage.
-- Grain: model_index, person_key, journey_index, stage_index.
with clicks as (
    select person_key, journey_index, classification_key, clicked_at
    from map.rage_clicks
),

clickers_listed as (
    select distinct person_key
    from clicks
),

-- Few people click in rage: only their visits are read.
visits as (
    select
        stage_visits.model_index, stage_visits.person_key, stage_visits.journey_index, stage_visits.visit_index,
        stage_visits.stage_index, stage_visits.entered_at, stage_visits.left_at
    from kernel.stage_visits
    inner join clickers_listed on clickers_listed.person_key = stage_visits.person_key
),

clicks_classified as (
    select
        classifications.model_index, clicks.person_key, clicks.journey_index, clicks.clicked_at,
        nullif(classifications.stage_index, 0) as stage_index
    from clicks
    inner join kernel.classifications on classifications.classification_key = clicks.classification_key
),

-- Visits and clicks in one order, as a join of each click with each visit would grow with the square of a journey.
moments_gathered as (
    select
        model_index, person_key, journey_index, entered_at as moment_at, visit_index, cast(null as integer) as stage_index,
        false as is_click
    from visits
    union all
    select distinct
        model_index, person_key, journey_index, clicked_at as moment_at, cast(null as integer) as visit_index, stage_index,
        true as is_click
    from clicks_classified
),

visits_carried as (
    select
        model_index, person_key, journey_index, moment_at, stage_index, is_click,
        max(visit_index) over (
            partition by model_index, person_key, journey_index
            order by moment_at, is_click, visit_index, stage_index nulls first
            rows between unbounded preceding and current row
        ) as visit_index
    from moments_gathered
),

-- A click that no rule puts into a stage belongs to the stage of the visit in progress.
clicks_placed as (
    select
        carried.model_index,
        carried.person_key,
        carried.journey_index,
        carried.moment_at as clicked_at,
        coalesce(carried.stage_index, visits.stage_index) as stage_index
    from visits_carried as carried
    left join visits
        on visits.model_index = carried.model_index
        and visits.person_key = carried.person_key
        and visits.journey_index = carried.journey_index
        and visits.visit_index = carried.visit_index
    where carried.is_click
),

stages_seen as (
    select
        visits.model_index,
        visits.person_key,
        visits.journey_index,
        visits.stage_index,
        min(visits.visit_index) as first_visit_index
    from visits
    inner join clicks_placed
        on clicks_placed.model_index = visits.model_index
        and clicks_placed.person_key = visits.person_key
        and clicks_placed.journey_index = visits.journey_index
        and clicks_placed.stage_index = visits.stage_index
    group by visits.model_index, visits.person_key, visits.journey_index, visits.stage_index
),

stages_left as (
    select
        stages_seen.model_index,
        stages_seen.person_key,
        stages_seen.journey_index,
        stages_seen.stage_index,
        min(visits.entered_at) as beyond_at
    from stages_seen
    inner join visits
        on visits.model_index = stages_seen.model_index
        and visits.person_key = stages_seen.person_key
        and visits.journey_index = stages_seen.journey_index
        and visits.visit_index > stages_seen.first_visit_index
        and visits.stage_index > stages_seen.stage_index
    group by stages_seen.model_index, stages_seen.person_key, stages_seen.journey_index, stages_seen.stage_index
)

-- Like every interaction, a click counts inside the window and before the journey first went beyond the stage.
select
    clicks_placed.model_index,
    clicks_placed.person_key,
    clicks_placed.journey_index,
    clicks_placed.stage_index
from clicks_placed
inner join kernel.map_journeys as journeys
    on journeys.model_index = clicks_placed.model_index
    and journeys.person_key = clicks_placed.person_key
    and journeys.journey_index = clicks_placed.journey_index
cross join config.settings
left join stages_left
    on stages_left.model_index = clicks_placed.model_index
    and stages_left.person_key = clicks_placed.person_key
    and stages_left.journey_index = clicks_placed.journey_index
    and stages_left.stage_index = clicks_placed.stage_index
where (stages_left.beyond_at is null or clicks_placed.clicked_at < stages_left.beyond_at)
    -- A click before any stage is in none.
    and clicks_placed.stage_index is not null
    and date_diff('microsecond', journeys.entered_at, clicks_placed.clicked_at)
    <= settings.journeys_window_us
group by clicks_placed.model_index, clicks_placed.person_key, clicks_placed.journey_index, clicks_placed.stage_index
