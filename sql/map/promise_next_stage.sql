-- How many journeys went on beyond the promise's stage, where their first promise was kept and where it was broken.
-- Grain: promise_index, persona, period.
with promises as (
    select promise_index, model_index, stage_index
    from config.promises
    where not is_last_stage
),

outcomes_dated as (
    select
        outcomes.promise_index,
        outcomes.person_key,
        outcomes.journey_index,
        months.month,
        outcomes.due_at,
        outcomes.outcome
    from map.promise_outcomes as outcomes
    inner join config.months
        on outcomes.due_at >= months.start_at
        and outcomes.due_at < months.end_at
    -- What is kept before its time is up counts no sooner than what is broken.
    where outcomes.is_matured
),

-- The first promise of a journey: a journey with more of them has more to break, and goes further for it.
firsts_found as (
    select
        promise_index,
        person_key,
        journey_index,
        coalesce(month, 'all') as period,
        min(due_at) as due_at
    from outcomes_dated
    group by grouping sets (
        (promise_index, person_key, journey_index, month),
        (promise_index, person_key, journey_index)
    )
),

journeys_evaluated as (
    select
        firsts_found.promise_index,
        firsts_found.person_key,
        firsts_found.journey_index,
        firsts_found.period,
        firsts_found.due_at,
        count(*) filter (where outcomes_dated.outcome = 'broken') > 0 as is_broken
    from firsts_found
    inner join outcomes_dated
        on outcomes_dated.promise_index = firsts_found.promise_index
        and outcomes_dated.person_key = firsts_found.person_key
        and outcomes_dated.journey_index = firsts_found.journey_index
        and outcomes_dated.due_at = firsts_found.due_at
    group by
        firsts_found.promise_index, firsts_found.person_key, firsts_found.journey_index, firsts_found.period,
        firsts_found.due_at
),

-- When journeys with a promise first came beyond its stage.
journeys_passed as (
    select
        promises.promise_index,
        visits.person_key,
        visits.journey_index,
        min(visits.entered_at) as passed_at
    from promises
    inner join kernel.stage_visits as visits
        on visits.model_index = promises.model_index
        and visits.stage_index > promises.stage_index
    group by promises.promise_index, visits.person_key, visits.journey_index
),

-- The journeys of the map, whose window is over: what they did next is known.
journeys_followed as (
    select
        journeys_evaluated.promise_index,
        journeys_evaluated.period,
        journeys_evaluated.is_broken,
        coalesce(facts.persona, 'unassigned') as persona,
        journeys.depth > promises.stage_index as has_gone_on
    from journeys_evaluated
    inner join promises on promises.promise_index = journeys_evaluated.promise_index
    inner join kernel.map_journeys as journeys
        on journeys.model_index = promises.model_index
        and journeys.person_key = journeys_evaluated.person_key
        and journeys.journey_index = journeys_evaluated.journey_index
        and journeys.is_matured
        and case when journeys_evaluated.period = 'all' then journeys.is_furthest else journeys.is_furthest_in_month end
    cross join config.settings
    left join journeys_passed
        on journeys_passed.promise_index = journeys_evaluated.promise_index
        and journeys_passed.person_key = journeys_evaluated.person_key
        and journeys_passed.journey_index = journeys_evaluated.journey_index
    left join journeys.journey_facts as facts
        on facts.person_key = journeys_evaluated.person_key
        and facts.journey_index = journeys_evaluated.journey_index
    -- Events before the promise do not answer it, and those after the window are not counted.
    where (journeys_passed.passed_at is null or journeys_passed.passed_at > journeys_evaluated.due_at)
        and date_diff('microsecond', journeys.entered_at, journeys_evaluated.due_at)
        <= settings.journeys_window_us
)

select
    promise_index,
    coalesce(persona, 'all') as persona,
    period,
    count(*) filter (where not is_broken) as kept_journey_count,
    count(*) filter (where not is_broken and has_gone_on) as kept_next_count,
    count(*) filter (where is_broken) as broken_journey_count,
    count(*) filter (where is_broken and has_gone_on) as broken_next_count
from journeys_followed
group by grouping sets ((promise_index, persona, period), (promise_index, period))
