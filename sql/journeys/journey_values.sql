-- What each journey brought: the values of the first goal's events, in the report currency.
-- Grain: person_key, journey_index.
with goal_valued as (
    select goal_index
    from config.goals
    -- Of the goals with a value the first: an event that is two goals must not count twice.
    where value is not null
    qualify row_number() over (order by goal_index, goal) = 1
)

select
    amounts.person_key,
    amounts.journey_index,
    count(*) as goal_count,
    -- One amount that cannot be converted makes the sum unknown.
    case when count(*) = count(amounts.value_amount) then try_cast(sum(amounts.value_amount) as decimal(18, 4)) end
        as journey_value_amount
from journeys.goal_amounts as amounts
inner join goal_valued on goal_valued.goal_index = amounts.goal_index
group by amounts.person_key, amounts.journey_index
