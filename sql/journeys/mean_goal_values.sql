-- What one event of the goal brings on the mean.
-- Grain: persona, period.
with values_placed as (
    select facts.persona, days.month, journey_values.goal_count, journey_values.journey_value_amount
    from journeys.journey_values
    inner join journeys.journey_facts as facts
        on facts.person_key = journey_values.person_key
        and facts.journey_index = journey_values.journey_index
    inner join config.days on days.start_at <= facts.entered_at and facts.entered_at < days.end_at
)

select
    coalesce(persona, 'all') as persona,
    coalesce(month, 'all') as period,
    -- One amount that cannot be converted makes the mean unknown.
    case
        when count(*) = count(journey_value_amount)
            then cast(sum(journey_value_amount) as double) / cast(sum(goal_count) as double)
    end as mean_goal_value_amount
from values_placed
group by grouping sets ((persona, month), (persona), (month), ())
having count(*) > 0
