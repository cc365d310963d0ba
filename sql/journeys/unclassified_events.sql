-- Events that no rule of a model put into a stage, beside all events of that name.
-- Grain: model_index, event_name.
with labels_named as (
    select classifications.classification_key, classifications.model_index, classifications.stage_index, classifications.event_count, event_types.event_name, event_types.channel
    from kernel.classifications
    inner join journeys.event_types on event_types.event_type_ix = classifications.event_type_ix
),

channels_found as (
    select
        model_index,
        event_name,
        channel,
        sum(event_count) as named_count,
        coalesce(sum(event_count) filter (where stage_index = 0), 0) as uncovered_count
    from labels_named
    group by model_index, event_name, channel
),

names_summed as (
    select
        model_index,
        event_name,
        cast(sum(named_count) as bigint) as named_count,
        cast(sum(uncovered_count) as bigint) as event_count,
        count(*) filter (where uncovered_count > 0) as channel_count,
        string_agg(case when uncovered_count > 0 then channel end, ', ' order by channel) as channels
    from channels_found
    group by model_index, event_name
),

-- Counted from the events: a person with several event types of one name counts once.
persons_counted as (
    select labels_named.model_index, labels_named.event_name, count(distinct events.person_key) as person_count
    from kernel.events
    inner join labels_named on labels_named.classification_key = events.classification_key
    where labels_named.stage_index = 0
    group by labels_named.model_index, labels_named.event_name
)

select
    names_summed.model_index,
    names_summed.event_name,
    names_summed.channel_count,
    names_summed.channels,
    names_summed.event_count,
    persons_counted.person_count,
    names_summed.named_count
from names_summed
inner join persons_counted
    on persons_counted.model_index = names_summed.model_index
    and persons_counted.event_name = names_summed.event_name
