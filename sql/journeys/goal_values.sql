-- What the goal brought at the last step of each attempt that got there, in the report currency.
-- Grain: funnel_index, attempt_ix.
with goals as (
    select
        goal,
        value,
        -- `properties.deal.worth` as a JSON pointer: /deal/worth.
        concat('/', replace(replace(replace(substr(value, 12), '~', '~0'), '/', '~1'), '.', '/')) as pointer
    from config.goals
),

funnels_valued as (
    select funnels.funnel_index, funnels.step_count, goals.value, goals.pointer, concat('goal/', goals.goal) as predicate
    from config.funnels
    inner join goals on goals.goal = funnels.goal
),

-- Only an event that is the goal has the goal's value. Which classifications those have is a small table; texts come last.
goal_labels as (
    select distinct funnels_valued.funnel_index, classifications.classification_key
    from funnels_valued
    inner join config.event_type_predicates as predicates on predicates.predicate = funnels_valued.predicate
    inner join kernel.classifications
        on classifications.event_type_ix = predicates.event_type_ix
        and classifications.model_index = 1
    where predicates.is_true
),

last_steps_found as (
    select reaches.funnel_index, reaches.attempt_ix, reaches.event_ix
    from kernel.funnel_reaches as reaches
    inner join funnels_valued
        on funnels_valued.funnel_index = reaches.funnel_index
        and funnels_valued.step_count = reaches.step_index
),

goal_events_found as (
    select last_steps_found.funnel_index, last_steps_found.attempt_ix, last_steps_found.event_ix
    from last_steps_found
    inner join kernel.events as kernel_events on kernel_events.event_ix = last_steps_found.event_ix
    inner join goal_labels
        on goal_labels.funnel_index = last_steps_found.funnel_index
        and goal_labels.classification_key = kernel_events.classification_key
),

amounts_read as (
    select
        goal_events_found.funnel_index,
        goal_events_found.attempt_ix,
        -- An amount without a currency is in the project's own money.
        coalesce(events.currency, settings.report_currency) as currency,
        case
            when funnels_valued.value = 'revenue_amount' then events.revenue_amount
            else try_cast(json_extract_string(events.properties, funnels_valued.pointer) as decimal(18, 4))
        end as amount
    from goal_events_found
    inner join sources.events on events.event_ix = goal_events_found.event_ix
    inner join funnels_valued on funnels_valued.funnel_index = goal_events_found.funnel_index
    cross join config.settings
),

amounts_converted as (
    select
        amounts_read.funnel_index,
        amounts_read.attempt_ix,
        -- Rounded once an event, so that the sum over events does not depend on their order. Beyond all money it is none.
        try_cast(cast(amounts_read.amount as double) * cast(rates.rate as double) as decimal(18, 4)) as value_amount
    from amounts_read
    left join config.rates on rates.currency = amounts_read.currency
    where amounts_read.amount is not null
)

select
    funnel_index,
    attempt_ix,
    value_amount,
    value_amount is null as is_rate_missing
from amounts_converted
