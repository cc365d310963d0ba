-- Events that the tables cannot read rightly: in no stage, or of sources and names that fell silent or just began.
-- Grain: none; blind_spots adds up rows of one kind and subject.
with rhythms as (
    select
        source, event_name, is_source, is_goal, is_pain, active_days, event_count, share_rate, first_day, last_day,
        source_first_day, longest_gap_days, silent_days, is_silent, is_source_silent
    from insights._source_cadence
),

settings as (
    select min_count, cast(high_water_at as date) as this_day
    from config.settings
),

people_counted as (
    select count(*) as person_count, cast(sum(event_count) as bigint) as event_count
    from kernel.persons
),

shares_taken as (
    select
        models.model,
        uncovered.event_name,
        case
            when uncovered.channel_count <= 4 then uncovered.channels
            else concat(uncovered.channel_count, ' channels')
        end as channels,
        uncovered.event_count,
        uncovered.person_count,
        uncovered.named_count,
        uncovered.event_count < settings.min_count as is_small,
        cast(uncovered.event_count as double) / people_counted.event_count as share_rate,
        cast(uncovered.person_count as double) / people_counted.person_count as person_rate,
        unstaged_events.event_name is not null as is_unstaged
    from journeys.unclassified_events as uncovered
    inner join config.models on models.model_index = uncovered.model_index
    cross join people_counted
    cross join settings
    left join config.unstaged_events on unstaged_events.event_name = uncovered.event_name
)

select
    'unclassified' as kind,
    concat(model, ': ', event_name) as subject,
    case
        when is_unstaged or is_small then 'note'
        when share_rate >= 0.05 then 'critical'
        when share_rate >= 0.001 or person_rate >= 0.01 then 'warning'
        else 'note'
    end as severity,
    event_count as item_count,
    share_rate,
    concat(
        case
            when is_unstaged then concat('Model ', model, ' has no stage for `', event_name, '` on ', channels)
            when event_count = named_count then concat('No rule of model ', model, ' covers `', event_name, '` on ', channels)
            else concat('The rules of model ', model, ' cover only some of `', event_name, '` on ', channels)
        end,
        ': ', event_count, case when event_count < named_count then concat(' of ', named_count) else '' end,
        ' events of ', person_count, case when person_count = 1 then ' person' else ' persons' end, ' are in no stage. ',
        case
            when is_unstaged then 'It may happen anywhere in a journey, so this is as it should be.'
            else 'Give it a rule, or let `rename` of its source turn it into a name that a rule knows.'
        end
    ) as detail
from shares_taken

union all

select
    'silent_source' as kind,
    source as subject,
    'critical' as severity,
    event_count as item_count,
    share_rate,
    case
        when last_day is null then concat('Source ', source, ' is configured and gave no event that counts. See its `path` and `where`.')
        else concat(
            'Source ', source, ' has been silent for ', silent_days, ' days, since ', last_day, '; before, it was never silent for more than ',
            longest_gap_days, case when longest_gap_days = 1 then ' day' else ' days' end, ' (', event_count,
            ' events on ', active_days, ' days). What people did there since reads as if they had left: see whether its files still come.'
        )
    end as detail
from rhythms
where is_source and is_silent

union all

select
    'vanished_event' as kind,
    concat(source, ': ', event_name) as subject,
    case when is_goal then 'critical' when is_pain then 'note' else 'warning' end as severity,
    event_count as item_count,
    share_rate,
    concat(
        'Source ', source, ' has sent no `', event_name, '` for ', silent_days, ' days, since ', last_day,
        '; before, it was never away for more than ', longest_gap_days,
        case when longest_gap_days = 1 then ' day (' else ' days (' end, event_count, ' events on ', active_days,
        ' days). See whether it was renamed, its tracking was lost, or what it tells of is over.'
    ) as detail
from rhythms
cross join settings
-- A source that is entirely silent has one row.
where not is_source and is_silent and not is_source_silent and event_count >= settings.min_count

union all

select
    'new_event' as kind,
    concat(rhythms.source, ': ', rhythms.event_name) as subject,
    case when rhythms.event_count >= settings.min_count then 'warning' else 'note' end as severity,
    rhythms.event_count as item_count,
    rhythms.share_rate,
    concat(
        'Source ', rhythms.source, ' first sent `', rhythms.event_name, '` on ', rhythms.first_day, ', though its events go back to ',
        rhythms.source_first_day, ': ', rhythms.event_count, ' events so far. See whether it takes the place of another name.'
    ) as detail
from rhythms
cross join settings
where
    not rhythms.is_source
    and date_diff('day', rhythms.first_day, settings.this_day) < 7
    and date_diff('day', rhythms.source_first_day, settings.this_day) >= 28
