-- Every promise that fell due, or was measured, and how it ended.
-- Grain: promise_index, event_ix.
with promises as (
    select promise_index, kind, survey, within_us, target, is_at_most
    from config.promises
),

ends as (
    select
        promise_index, event_ix, person_key, journey_index, is_from, is_to, is_matched, match_value,
        event_id, source_ix, occurred_at, sequence
    from map.promise_events
),

-- Of one key the first event counts; of a person every one does.
dues_numbered as (
    select
        promise_index, event_ix, person_key, journey_index, is_to, is_matched, match_value, occurred_at,
        row_number() over (
            partition by promise_index, match_value
            order by occurred_at, sequence nulls last, event_id, source_ix
        ) as due_index
    from ends
    where is_from
),

instants_counted as (
    select promise_index, match_value, occurred_at, count(*) filter (where is_to) as to_count
    from ends
    group by promise_index, match_value, occurred_at
),

instants_followed as (
    select
        promise_index,
        match_value,
        occurred_at,
        to_count,
        min(case when to_count > 0 then occurred_at end) over (
            partition by promise_index, match_value
            order by occurred_at rows between 1 following and unbounded following
        ) as later_to_at
    from instants_counted
),

dues_followed as (
    select
        dues_numbered.promise_index,
        dues_numbered.event_ix,
        dues_numbered.person_key,
        dues_numbered.journey_index,
        dues_numbered.occurred_at as due_at,
        -- No event keeps the promise that it makes itself.
        case
            when instants_followed.to_count > case when dues_numbered.is_to then 1 else 0 end
                then dues_numbered.occurred_at
            else instants_followed.later_to_at
        end as to_at
    from dues_numbered
    inner join instants_followed
        on instants_followed.promise_index = dues_numbered.promise_index
        and instants_followed.match_value = dues_numbered.match_value
        and instants_followed.occurred_at = dues_numbered.occurred_at
    where dues_numbered.due_index = 1 or not dues_numbered.is_matched
),

dues_timed as (
    select
        dues_followed.promise_index,
        dues_followed.event_ix,
        dues_followed.person_key,
        dues_followed.journey_index,
        dues_followed.due_at,
        coalesce(
            date_diff('microsecond', dues_followed.due_at, dues_followed.to_at) <= promises.within_us, false
        ) as is_kept,
        dues_followed.to_at,
        date_diff('microsecond', dues_followed.due_at, settings.high_water_at) >= promises.within_us as is_matured,
        -- In two parts, because an interval is multiplied by numbers of 32 bits only.
        dues_followed.due_at
        + cast(floor(promises.within_us / 1000000) as integer) * interval '1 second'
        + cast(promises.within_us % 1000000 as integer) * interval '1 microsecond' as deadline_at,
        cast(null as double) as score
    from dues_followed
    inner join promises on promises.promise_index = dues_followed.promise_index
    cross join config.settings
),

answers_measured as (
    select
        promises.promise_index,
        answers.event_ix,
        answers.person_key,
        answers.journey_index,
        answers.answered_at as due_at,
        case when promises.is_at_most then answers.score <= promises.target else answers.score >= promises.target end
            as is_kept,
        answers.answered_at as to_at,
        true as is_matured,
        answers.answered_at as deadline_at,
        answers.score
    from map.survey_answers as answers
    inner join promises on promises.survey = answers.survey
    where answers.score is not null
),

outcomes_gathered as (
    select promise_index, event_ix, person_key, journey_index, due_at, is_kept, to_at, is_matured, deadline_at, score
    from dues_timed
    union all
    select promise_index, event_ix, person_key, journey_index, due_at, is_kept, to_at, is_matured, deadline_at, score
    from answers_measured
)

select
    promise_index,
    event_ix,
    person_key,
    journey_index,
    due_at,
    case when is_kept then 'kept' when is_matured then 'broken' else 'pending' end as outcome,
    is_matured,
    case when is_matured and not is_kept then deadline_at end as broken_at,
    case when is_kept then to_at end as kept_at,
    score
from outcomes_gathered
