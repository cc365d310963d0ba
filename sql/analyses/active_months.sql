-- The months in which each person has an event.
-- Grain: person_key, month.
select kernel_events.person_key, days.month
from kernel.events as kernel_events
inner join config.day_dates as days
    on days.utc_date = cast(kernel_events.occurred_at as date)
    and kernel_events.occurred_at >= days.start_at
    and kernel_events.occurred_at < days.end_at
group by kernel_events.person_key, days.month
