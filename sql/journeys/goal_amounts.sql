-- What each event of a goal with a value brought, in the report currency.
-- Grain: goal_index, event_ix.
with goal_events_found as (
    select
        goals.goal_index,
        goals.value,
        goals.value_path,
        labelled_events.event_ix,
        labelled_events.person_key,
        labelled_events.journey_index
    from config.goals
    inner join journeys.predicate_classifications as labels on labels.predicate = concat('goal/', goals.goal)
    inner join journeys.labelled_events on labelled_events.classification_key = labels.classification_key
    where goals.value is not null
),

-- The JSON of events is wide: without a goal that is valued by a property it is not read.
properties_read as (
    select
        goal_events_found.goal_index,
        goal_events_found.event_ix,
        try_cast(json_extract_string(events.properties, goal_events_found.value_path) as decimal(18, 4)) as amount
    from goal_events_found
    inner join sources.events on events.event_ix = goal_events_found.event_ix
    where goal_events_found.value_path is not null
),

amounts_read as (
    select
        goal_events_found.goal_index,
        goal_events_found.event_ix,
        goal_events_found.person_key,
        goal_events_found.journey_index,
        -- An amount without a currency is in the project's own money.
        coalesce(events.currency, settings.report_currency) as currency,
        case when goal_events_found.value = 'revenue_amount' then events.revenue_amount else properties_read.amount end as amount
    from goal_events_found
    inner join sources.events on events.event_ix = goal_events_found.event_ix
    left join properties_read
        on properties_read.goal_index = goal_events_found.goal_index
        and properties_read.event_ix = goal_events_found.event_ix
    cross join config.settings
)

select
    amounts_read.goal_index,
    amounts_read.event_ix,
    amounts_read.person_key,
    amounts_read.journey_index,
    -- Rounded once an event, so that a sum does not depend on the order of events. Beyond all money it is none.
    try_cast(cast(amounts_read.amount as double) * cast(rates.rate as double) as decimal(18, 4)) as value_amount
from amounts_read
left join config.rates on rates.currency = amounts_read.currency
where amounts_read.amount is not null
