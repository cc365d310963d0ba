-- Journeys without an event in a stage, which are in no funnel and no map of the model.
-- Grain: none; blind_spots adds up rows of one kind and subject.
with journeys as (
    select person_key, journey_index, entered_at
    from kernel.journeys
),

staged_counted as (
    select visits.model_index, count(*) as staged_count
    from kernel.stage_visits as visits
    cross join config.settings
    inner join journeys
        on journeys.person_key = visits.person_key
        and journeys.journey_index = visits.journey_index
    where
        visits.visit_index = 1
        and date_diff('microsecond', journeys.entered_at, visits.entered_at) <= settings.journeys_window_us
    group by visits.model_index
),

unstaged_counted as (
    select
        models.model,
        totals.journey_count,
        totals.journey_count - coalesce(staged_counted.staged_count, 0) as unstaged_count
    from config.models
    cross join (select count(*) as journey_count from journeys) as totals
    left join staged_counted on staged_counted.model_index = models.model_index
)

select
    'unstaged_journeys' as kind,
    model as subject,
    case
        when unstaged_count >= 0.25 * journey_count then 'critical'
        when unstaged_count >= 0.05 * journey_count then 'warning'
        else 'note'
    end as severity,
    unstaged_count as item_count,
    cast(unstaged_count as double) / journey_count as share_rate,
    concat(
        unstaged_count, ' of ', journey_count, ' journeys have no event in a stage of model ', model,
        ' and are in none of its funnels and maps. The kind unclassified names their events.'
    ) as detail
from unstaged_counted
where unstaged_count > 0
