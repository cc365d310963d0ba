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

-- A click that no rule puts into a stage belongs to the stage of the visit in progress.
clicks_placed as (
    select
        classifications.model_index,
        clicks.person_key,
        clicks.journey_index,
        clicks.clicked_at,
        coalesce(nullif(classifications.stage_index, 0), visits.stage_index) as stage_index
    from clicks
    inner join kernel.classifications on classifications.classification_key = clicks.classification_key
    left join visits
        on classifications.stage_index = 0
        and visits.model_index = classifications.model_index
        and visits.person_key = clicks.person_key
        and visits.journey_index = clicks.journey_index
        and visits.entered_at <= clicks.clicked_at
        and (visits.left_at is null or clicks.clicked_at < visits.left_at)
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
left join stages_seen
    on stages_seen.model_index = clicks_placed.model_index
    and stages_seen.person_key = clicks_placed.person_key
    and stages_seen.journey_index = clicks_placed.journey_index
    and stages_seen.stage_index = clicks_placed.stage_index
left join visits
    on visits.model_index = clicks_placed.model_index
    and visits.person_key = clicks_placed.person_key
    and visits.journey_index = clicks_placed.journey_index
    and visits.visit_index > stages_seen.first_visit_index
    and visits.stage_index > clicks_placed.stage_index
    and visits.entered_at <= clicks_placed.clicked_at
where visits.visit_index is null
    -- A click before any stage is in none.
    and clicks_placed.stage_index is not null
    and date_diff('microsecond', journeys.entered_at, clicks_placed.clicked_at)
    <= settings.journeys_window_us
group by clicks_placed.model_index, clicks_placed.person_key, clicks_placed.journey_index, clicks_placed.stage_index
