-- What attribution takes each classification of events for: touch or goal, and the channel that the configuration gives it.
-- Grain: classification_key.
with rules_matched as (
    select predicates.event_type_ix, min(channels.channel_index) as channel_index
    from config.attribution_channels as channels
    inner join config.event_type_predicates as predicates on predicates.predicate = channels.predicate
    where predicates.is_true
    group by predicates.event_type_ix
),

goals_matched as (
    select predicates.event_type_ix
    from config.attribution
    inner join config.event_type_predicates as predicates on predicates.predicate = concat('goal/', attribution.goal)
    where predicates.is_true
    group by predicates.event_type_ix
),

passive_names as (
    select distinct event_name
    from config.passive_events
)

select
    classifications.classification_key,
    event_types.channel as event_channel,
    channels.channel as own_channel,
    goals_matched.event_type_ix is not null as is_goal,
    case
        when goals_matched.event_type_ix is not null or channels.channel = 'none' then false
        when channels.channel is not null then true
        else passive_names.event_name is null
    end as is_touch
from kernel.classifications
inner join journeys.event_types on event_types.event_type_ix = classifications.event_type_ix
left join rules_matched on rules_matched.event_type_ix = classifications.event_type_ix
left join config.attribution_channels as channels on channels.channel_index = rules_matched.channel_index
left join goals_matched on goals_matched.event_type_ix = classifications.event_type_ix
left join passive_names on passive_names.event_name = event_types.event_name
where classifications.model_index = 1
