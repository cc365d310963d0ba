-- Every event of an attributed goal, numbered per person, with what it brought in the report currency.
-- Grain: goal_index, event_ix.
with goals as (
    select
        attribution.goal_index,
        attribution.goal,
        config_goals.value,
        -- `properties.deal.worth` as a JSON pointer: /deal/worth.
        concat('/', replace(replace(replace(substr(config_goals.value, 12), '~', '~0'), '/', '~1'), '.', '/')) as pointer
    from config.attribution
    inner join config.goals as config_goals on config_goals.goal_index = attribution.goal_index
),

goal_labels as (
    select distinct goals.goal_index, classifications.classification_key
    from goals
    inner join config.event_type_predicates as predicates on predicates.predicate = concat('goal/', goals.goal)
    inner join kernel.classifications
        on classifications.event_type_ix = predicates.event_type_ix
        and classifications.model_index = 1
    where predicates.is_true
),

goals_found as (
    select
        goal_labels.goal_index,
        kernel_events.event_ix,
        kernel_events.person_key,
        kernel_events.journey_index,
        kernel_events.session_ix
    from kernel.events as kernel_events
    inner join goal_labels on goal_labels.classification_key = kernel_events.classification_key
),

-- The JSON of events is wide: without a goal that is valued by a property it is not read.
properties_read as (
    select
        goals_found.goal_index,
        goals_found.event_ix,
        try_cast(json_extract_string(events.properties, goals.pointer) as decimal(18, 4)) as amount
    from goals_found
    inner join goals on goals.goal_index = goals_found.goal_index
    inner join sources.events on events.event_ix = goals_found.event_ix
    where goals.value like 'properties.%'
),

amounts_read as (
    select
        goals_found.goal_index,
        goals_found.event_ix,
        goals_found.person_key,
        goals_found.journey_index,
        goals_found.session_ix,
        events.occurred_at,
        events.sequence,
        events.event_id,
        -- An amount without a currency is in the project's own money.
        coalesce(events.currency, settings.report_currency) as currency,
        case when goals.value = 'revenue_amount' then events.revenue_amount else properties_read.amount end as amount
    from goals_found
    inner join sources.events on events.event_ix = goals_found.event_ix
    inner join goals on goals.goal_index = goals_found.goal_index
    left join properties_read
        on properties_read.goal_index = goals_found.goal_index
        and properties_read.event_ix = goals_found.event_ix
    cross join config.settings
),

amounts_converted as (
    select
        amounts_read.goal_index, amounts_read.event_ix, amounts_read.person_key, amounts_read.journey_index,
        amounts_read.session_ix, amounts_read.occurred_at, amounts_read.sequence, amounts_read.event_id, amounts_read.amount,
        -- Rounded once an event, so that the sum over events does not depend on their order. Beyond all money it is none.
        try_cast(cast(amounts_read.amount as double) * cast(rates.rate as double) as decimal(18, 4)) as value_amount
    from amounts_read
    left join config.rates on rates.currency = amounts_read.currency
)

select
    goal_index,
    event_ix,
    person_key,
    journey_index,
    session_ix,
    occurred_at as goal_at,
    row_number() over (
        partition by goal_index, person_key order by occurred_at, sequence nulls last, event_id, event_ix
    ) as goal_number,
    value_amount,
    amount is not null and value_amount is null as is_rate_missing
from amounts_converted
