-- Events that came late, or that people did not make and are left out.
-- Grain: none; blind_spots adds up rows of one kind and subject.
with late_summed as (
    select
        source,
        cast(sum(received_count) as bigint) as received_count,
        cast(sum(late_count) as bigint) as late_count,
        cast(sum(recent_late_count) as bigint) as recent_late_count
    from journeys.event_arrival_counts as arrivals
    group by source
),

excluded_summed as (
    select
        sources.source,
        cast(sum(counts.bot_count) as bigint) as bot_count,
        cast(sum(counts.internal_count) as bigint) as internal_count,
        cast(sum(counts.event_count + counts.bot_count + counts.internal_count) as bigint) as event_count
    from journeys.daily_counts as counts
    inner join config.sources on sources.source_ix = counts.source_ix
    group by sources.source
)

select
    'late' as kind,
    source as subject,
    case when late_count >= 0.05 * received_count then 'warning' else 'note' end as severity,
    late_count as item_count,
    cast(late_count as double) / received_count as share_rate,
    concat(
        late_count, ' of ', received_count, ' events of source ', source, ' were received more than a day after they happened, ',
        recent_late_count, ' of them in the last week. Figures of the latest days rise when such events come.'
    ) as detail
from late_summed
where late_count > 0

union all

select
    'bots' as kind,
    source as subject,
    case when bot_count >= 0.2 * event_count then 'warning' else 'note' end as severity,
    bot_count as item_count,
    cast(bot_count as double) / event_count as share_rate,
    concat(bot_count, ' of ', event_count, ' events of source ', source, ' are of programs and left out.') as detail
from excluded_summed
where bot_count > 0

union all

select
    'internal' as kind,
    source as subject,
    case when internal_count >= 0.2 * event_count then 'warning' else 'note' end as severity,
    internal_count as item_count,
    cast(internal_count as double) / event_count as share_rate,
    concat(internal_count, ' of ', event_count, ' events of source ', source, ' are the company''s own traffic and left out.') as detail
from excluded_summed
where internal_count > 0
