-- The event with which each person entered a cohort: the first ever that the cohort's start names.
-- Grain: start_index, person_key.
with any_starts as (
    select
        cohorts.start_index,
        journeys.person_key,
        journeys.journey_index,
        journeys.first_event_ix as event_ix,
        journeys.entered_at as started_at,
        event_types.channel
    from config.cohorts
    cross join kernel.journeys
    inner join journeys.event_types on event_types.event_type_ix = journeys.first_event_type_ix
    where cohorts.is_any_start and journeys.journey_index = 1
),

-- Which classifications a start has is a small table; times and texts come last.
start_labels as (
    select cohorts.start_index, labels.classification_key, event_types.channel
    from config.cohorts
    inner join journeys.predicate_classifications as labels
        on labels.predicate = concat('cohort/', cohorts.start, '/start')
    inner join journeys.event_types on event_types.event_type_ix = labels.event_type_ix
),

first_starts as (
    select
        start_labels.start_index,
        kernel_events.person_key,
        kernel_events.journey_index,
        kernel_events.event_ix,
        events.occurred_at as started_at,
        start_labels.channel
    from start_labels
    inner join kernel.events as kernel_events on kernel_events.classification_key = start_labels.classification_key
    inner join staging.events on events.event_ix = kernel_events.event_ix
    qualify row_number() over (
        partition by start_labels.start_index, kernel_events.person_key
        order by events.occurred_at, events.sequence nulls last, events.event_id, events.source_ix
    ) = 1
),

starts_found as (
    select start_index, person_key, journey_index, event_ix, started_at, channel
    from any_starts
    union all
    select start_index, person_key, journey_index, event_ix, started_at, channel
    from first_starts
)

select
    starts_found.start_index,
    starts_found.person_key,
    starts_found.journey_index,
    starts_found.event_ix,
    starts_found.started_at,
    -- The name of the total row is no channel.
    case when starts_found.channel = 'all' then 'all (channel)' else starts_found.channel end as channel,
    case when cohorts.cohort_unit = 'month' then days.month else days.week end as cohort,
    case when cohorts.calendar = 'month' then days.month_number when cohorts.calendar = 'week' then days.week_number end
        as start_number
from starts_found
inner join config.cohorts on cohorts.start_index = starts_found.start_index
-- Of its two dates of UTC a local day has one that is the event's.
inner join config.day_dates as days
    on days.utc_date = cast(starts_found.started_at as date)
    and starts_found.started_at >= days.start_at
    and starts_found.started_at < days.end_at
