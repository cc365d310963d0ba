-- The ages at which each person came back after entering a cohort.
-- Grain: start_index, person_key, age_index.
with return_labels as (
    select
        cohorts.start_index,
        classifications.classification_key,
        cohorts.calendar,
        cohorts.bucket_us
    from config.cohorts
    inner join kernel.classifications on classifications.model_index = 1
    left join journeys.predicate_classifications as labels
        on labels.predicate = concat('cohort/', cohorts.start, '/return')
        and labels.classification_key = classifications.classification_key
    where cohorts.is_any_return or labels.predicate is not null
),

-- Of exact elapsed time; microseconds are divided without a rest, because a quotient may round up to the next age.
elapsed_ages as (
    select
        starts.start_index,
        starts.person_key,
        date_diff('microsecond', starts.started_at, kernel_events.occurred_at) as elapsed_us,
        return_labels.bucket_us
    from return_labels
    inner join kernel.events as kernel_events on kernel_events.classification_key = return_labels.classification_key
    inner join analyses.cohort_starts as starts
        on starts.start_index = return_labels.start_index
        and starts.person_key = kernel_events.person_key
    where return_labels.calendar is null
        -- What happens at the instant of the start, as another line of one order, is no return.
        and kernel_events.occurred_at > starts.started_at
),

calendar_ages as (
    select
        starts.start_index,
        starts.person_key,
        case when return_labels.calendar = 'month' then days.month_number else days.week_number end
        - starts.start_number as age_index
    from return_labels
    inner join kernel.events as kernel_events on kernel_events.classification_key = return_labels.classification_key
    inner join analyses.cohort_starts as starts
        on starts.start_index = return_labels.start_index
        and starts.person_key = kernel_events.person_key
    inner join config.day_dates as days
        on days.utc_date = cast(kernel_events.occurred_at as date)
        and kernel_events.occurred_at >= days.start_at
        and kernel_events.occurred_at < days.end_at
    where return_labels.calendar is not null
        -- What happens at the instant of the start, as another line of one order, is no return.
        and kernel_events.occurred_at > starts.started_at
),

ages_found as (
    select
        start_index, person_key,
        cast(floor((elapsed_us - elapsed_us % bucket_us) / bucket_us) as integer) as age_index
    from elapsed_ages
    union all
    select start_index, person_key, age_index
    from calendar_ages
)

select ages_found.start_index, ages_found.person_key, ages.age_index
from ages_found
inner join config.cohort_ages as ages
    on ages.start_index = ages_found.start_index
    and ages.age_index = ages_found.age_index
group by ages_found.start_index, ages_found.person_key, ages.age_index
