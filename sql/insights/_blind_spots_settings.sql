-- Settings that matched nothing: their figures are empty because of the configuration, or because of what is not recorded.
-- Grain: none; blind_spots adds up rows of one kind and subject.
with predicates_true as (
    select predicate
    from config.event_type_predicates as predicates
    group by predicate
),

event_types as (
    select event_name, channel, touchpoint
    from journeys.event_types
),

event_names as (
    select event_name
    from event_types
    group by event_name
),

labels_found as (
    select substr(touchpoint, length(channel) + 3) as label
    from event_types
    group by substr(touchpoint, length(channel) + 3)
),

conditions_unmatched as (
    select conditions.kind, conditions.subject, conditions.condition
    from config.conditions
    left join predicates_true on predicates_true.predicate = conditions.predicate
    left join event_names on event_names.event_name = conditions.event_name
    left join labels_found on labels_found.label = conditions.label
    where predicates_true.predicate is null and event_names.event_name is null and labels_found.label is null
),

promises_counted as (
    select promises.promise, promises.match_property, counts.due_count, counts.matured_count, counts.matured_kept_count
    from config.promises
    inner join map.promise_counts as counts
        on counts.promise_index = promises.promise_index
        and counts.persona = 'all' and counts.period = 'all'
    where promises.kind = 'timed' and promises.match_property is not null
),

ends_unmatched as (
    select subject
    from conditions_unmatched
    where kind in ('promise_start', 'promise_end')
),

passive_sent as (
    select source_ix, event_name
    from journeys.daily_counts as counts
    where event_count > 0
    group by source_ix, event_name
),

slices_counted as (
    select slices.slice, count(slice_values.value) as value_count
    from config.slices
    left join staging.slice_values on slice_values.slice_index = slices.slice_index
    group by slices.slice
)

select
    'idle_setting' as kind,
    subject,
    'warning' as severity,
    0 as item_count,
    cast(0 as double) as share_rate,
    concat(
        'Nothing matches ', subject, ' (', condition, '): ',
        case kind
            when 'step' then 'nobody can reach the step, and everybody at the step before reads as lost there.'
            when 'exclusion' then 'it excludes nothing.'
            when 'goal' then 'no conversion is counted for it, and nothing has a value by it.'
            when 'channel' then 'no touch is of the channel by it; an earlier entry may take its events.'
            when 'promise_start' then 'the promise never falls due.'
            when 'promise_end' then 'the promise reads as broken each time it falls due.'
            when 'friction' then 'it is no pain point of anybody.'
            when 'touchpoint' then 'no touchpoint has the label; an earlier label may take its events.'
            else 'the survey has no answer.'
        end,
        ' See the names and values in it against the table event_kinds, which lists the events that occur.'
    ) as detail
from conditions_unmatched

union all

-- Both ends occur, and no two of them have one key.
select
    'idle_setting' as kind,
    concat('promise ', promise, ': match') as subject,
    'warning' as severity,
    due_count as item_count,
    cast(1 as double) as share_rate,
    case
        when due_count = 0 then concat(
            'The promise ', promise, ' never falls due: no event of its `from` has the property ', match_property,
            '. See `match` of the promise, and `properties` of the sources.'
        )
        else concat(
            'The promise ', promise, ' was kept in none of ', matured_count, ' cases. See whether the events of its `to` have the property ',
            match_property, ' with the values of its `from`.'
        )
    end as detail
from promises_counted
cross join config.settings
left join ends_unmatched as starts on starts.subject = concat('promise ', promise, ': from')
left join ends_unmatched as ends on ends.subject = concat('promise ', promise, ': to')
where
    starts.subject is null and ends.subject is null
    and (due_count = 0 or (matured_count >= settings.min_count and matured_kept_count = 0))

union all

select
    'idle_setting' as kind,
    concat('slice ', slice) as subject,
    'warning' as severity,
    value_count as item_count,
    cast(null as double) as share_rate,
    case
        when value_count = 0 then concat(
            'No event has a value of the slice ', slice, ', so that nothing is found along it. See its name in `slices`, and `properties` of the sources.'
        )
        else concat(
            'The slice ', slice, ' has ', value_count,
            ' values. Rare ones are pooled; name a property with few values, such as a category, in `slices`.'
        )
    end as detail
from slices_counted
where value_count = 0 or value_count > 200

union all

select
    'idle_setting' as kind,
    concat('passive ', passive_events.source, ': ', passive_events.event_name) as subject,
    'warning' as severity,
    0 as item_count,
    cast(0 as double) as share_rate,
    concat(
        'Source ', passive_events.source, ' has no event `', passive_events.event_name,
        '`, which its `passive` names. It is the name after `rename`; see the table event_kinds.'
    ) as detail
from config.passive_events
left join passive_sent
    on passive_sent.source_ix = passive_events.source_ix
    and passive_sent.event_name = passive_events.event_name
where not passive_events.is_builtin and passive_sent.event_name is null
