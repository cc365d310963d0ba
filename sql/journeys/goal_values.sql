-- What the goal brought at the last step of each attempt that got there, in the report currency.
-- Grain: funnel_index, attempt_ix.
with reaches as (
    select funnel_index, attempt_ix, step_index, event_ix
    from kernel.funnel_reaches
),

funnels as (
    select funnel_index, step_count, goal
    from config.funnels
),

goals as (
    select
        goal,
        value,
        -- `properties.deal.worth` as a JSON pointer: /deal/worth.
        concat('/', replace(replace(replace(substr(value, 12), '~', '~0'), '/', '~1'), '.', '/')) as pointer
    from config.goals
),

truths as (
    select kind_ix, predicate, is_true
    from config.kind_truths
),

kernel_events as (
    select event_ix, label_key
    from kernel.events
),

labels as (
    select label_key, model_index, kind_ix
    from kernel.labels
),

events as (
    select event_ix, revenue_amount, currency, properties
    from sources.events
),

rates as (
    select currency, rate
    from config.rates
),

settings as (
    select report_currency
    from config.settings
),

last_steps_found as (
    select
        reaches.funnel_index,
        reaches.attempt_ix,
        reaches.event_ix,
        goals.value,
        goals.pointer,
        concat('goal/', goals.goal) as predicate
    from reaches
    inner join funnels
        on funnels.funnel_index = reaches.funnel_index
        and funnels.step_count = reaches.step_index
    inner join goals on goals.goal = funnels.goal
),

-- Only an event that is the goal has the goal's value.
goal_events_found as (
    select
        last_steps_found.funnel_index,
        last_steps_found.attempt_ix,
        last_steps_found.event_ix,
        last_steps_found.value,
        last_steps_found.pointer
    from last_steps_found
    inner join kernel_events on kernel_events.event_ix = last_steps_found.event_ix
    inner join labels
        on labels.label_key = kernel_events.label_key
        and labels.model_index = 1
    inner join truths
        on truths.kind_ix = labels.kind_ix
        and truths.predicate = last_steps_found.predicate
    where truths.is_true
),

amounts_read as (
    select
        goal_events_found.funnel_index,
        goal_events_found.attempt_ix,
        -- An amount without a currency is in the project's own money.
        coalesce(events.currency, settings.report_currency) as currency,
        case
            when goal_events_found.value = 'revenue_amount' then events.revenue_amount
            else try_cast(json_extract_string(events.properties, goal_events_found.pointer) as decimal(18, 4))
        end as amount
    from goal_events_found
    inner join events on events.event_ix = goal_events_found.event_ix
    cross join settings
)

select
    amounts_read.funnel_index,
    amounts_read.attempt_ix,
    -- Rounded once an event, so that the sum over events does not depend on their order.
    cast(cast(amounts_read.amount as double) * cast(rates.rate as double) as decimal(18, 4)) as value_amount,
    rates.rate is null as is_rate_missing
from amounts_read
left join rates on rates.currency = amounts_read.currency
where amounts_read.amount is not null
