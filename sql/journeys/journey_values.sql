-- What each journey brought: the values of the first goal's events, in the report currency.
-- Grain: person_key, journey_index.
with goals as (
    select
        value,
        concat('goal/', goal) as predicate,
        -- `properties.deal.worth` as a JSON pointer: /deal/worth.
        concat('/', replace(replace(replace(substr(value, 12), '~', '~0'), '/', '~1'), '.', '/')) as pointer
    from config.goals
    -- Of the goals with a value the first: an event that is two goals must not count twice.
    where value is not null
    qualify row_number() over (order by goal_index, goal) = 1
),

goal_events_found as (
    select
        kernel_events.event_ix,
        kernel_events.person_key,
        kernel_events.journey_index,
        goals.value,
        goals.pointer
    from goals
    inner join config.event_type_predicates as predicates
        on predicates.predicate = goals.predicate
        and predicates.is_true
    inner join kernel.classifications
        on classifications.event_type_ix = predicates.event_type_ix
        and classifications.model_index = 1
    inner join kernel.events as kernel_events on kernel_events.classification_key = classifications.classification_key
),

amounts_read as (
    select
        goal_events_found.person_key,
        goal_events_found.journey_index,
        -- An amount without a currency is in the project's own money.
        coalesce(events.currency, settings.report_currency) as currency,
        case
            when goal_events_found.value = 'revenue_amount' then events.revenue_amount
            else try_cast(json_extract_string(events.properties, goal_events_found.pointer) as decimal(18, 4))
        end as amount
    from goal_events_found
    inner join sources.events on events.event_ix = goal_events_found.event_ix
    cross join config.settings
),

amounts_converted as (
    select
        amounts_read.person_key,
        amounts_read.journey_index,
        -- Rounded once an event, so that the sum does not depend on the order of events.
        try_cast(cast(amounts_read.amount as double) * cast(rates.rate as double) as decimal(18, 4)) as value_amount
    from amounts_read
    left join config.rates on rates.currency = amounts_read.currency
    where amounts_read.amount is not null
)

select
    person_key,
    journey_index,
    count(*) as goal_count,
    -- One amount that cannot be converted makes the sum unknown.
    case when count(*) = count(value_amount) then try_cast(sum(value_amount) as decimal(18, 4)) end as journey_value_amount
from amounts_converted
group by person_key, journey_index
