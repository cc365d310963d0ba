-- How many events of each source came late, and in which money.
-- Grain: source, currency (null for events without an amount).
with arrivals_measured as (
    select
        events.source,
        case
            -- An amount without a currency is in the project's own money.
            when events.revenue_amount is not null then coalesce(events.currency, settings.report_currency)
        end as currency,
        events.received_at,
        date_diff('microsecond', events.occurred_at, events.received_at) > 86400000000 as is_late,
        date_diff('microsecond', events.received_at, settings.high_water_at) <= 604800000000 as is_recent
    from sources.events
    cross join config.settings
)

select
    source,
    currency,
    count(*) as event_count,
    count(received_at) as received_count,
    count(*) filter (where is_late) as late_count,
    count(*) filter (where is_late and is_recent) as recent_late_count
from arrivals_measured
group by source, currency
