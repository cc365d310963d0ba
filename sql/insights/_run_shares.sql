-- Of the events that came with this run: how many were late, of programs, or in no stage.
-- Grain: kind, subject.
with news as (
    select first_event_ix
    from ledger.new_events
),

late_counted as (
    select
        source,
        count(*) filter (where date_diff('microsecond', occurred_at, received_at) > 86400000000) as item_count,
        count(received_at) as whole_count
    from sources.events as arrivals
    where event_ix >= (select first_event_ix from news)
    group by source
),

bots_counted as (
    select source_ix, count(*) filter (where is_bot) as item_count, count(*) as whole_count
    from staging.events
    where event_ix >= (select first_event_ix from news)
    group by source_ix
),

-- Counted by classification first: there are few, and each covers every model.
labels_counted as (
    select classification_key, count(*) as event_count
    from kernel.events as labelled
    where event_ix >= (select first_event_ix from news)
    group by classification_key
),

stages_counted as (
    select
        classifications.model_index,
        cast(coalesce(sum(labels_counted.event_count) filter (where classifications.stage_index = 0), 0) as bigint) as item_count,
        cast(sum(labels_counted.event_count) as bigint) as whole_count
    from labels_counted
    inner join kernel.classifications on classifications.classification_key = labels_counted.classification_key
    group by classifications.model_index
)

select 'late' as kind, source as subject, item_count, whole_count
from late_counted
where whole_count > 0

union all

select 'bots' as kind, sources.source as subject, bots_counted.item_count, bots_counted.whole_count
from bots_counted
inner join config.sources on sources.source_ix = bots_counted.source_ix

union all

select 'unclassified' as kind, models.model as subject, stages_counted.item_count, stages_counted.whole_count
from stages_counted
inner join config.models on models.model_index = stages_counted.model_index
