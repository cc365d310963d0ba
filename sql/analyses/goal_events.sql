-- Every event of an attributed goal, numbered per person, with what it brought in the report currency.
-- Grain: goal_index, event_ix.
with goals_found as (
    select
        attribution.goal_index,
        labelled_events.event_ix,
        labelled_events.person_key,
        labelled_events.journey_index,
        labelled_events.session_ix
    from config.attribution
    inner join journeys.predicate_classifications as labels on labels.predicate = concat('goal/', attribution.goal)
    inner join journeys.labelled_events on labelled_events.classification_key = labels.classification_key
)

select
    goals_found.goal_index,
    goals_found.event_ix,
    goals_found.person_key,
    goals_found.journey_index,
    goals_found.session_ix,
    events.occurred_at as goal_at,
    row_number() over (
        partition by goals_found.goal_index, goals_found.person_key
        order by events.occurred_at, events.sequence nulls last, events.event_id, goals_found.event_ix
    ) as goal_number,
    amounts.value_amount,
    amounts.event_ix is not null and amounts.value_amount is null as is_rate_missing
from goals_found
inner join sources.events on events.event_ix = goals_found.event_ix
left join journeys.goal_amounts as amounts
    on amounts.goal_index = goals_found.goal_index
    and amounts.event_ix = goals_found.event_ix
