-- What is odd in that which came with this run: a source of which no record was kept, a share that jumped.
-- Grain: none; blind_spots adds up rows of one kind and subject.
with settings as (
    select run_id
    from config.settings
),

loads_summed as (
    select
        loads.source,
        cast(sum(loads.record_count) as bigint) as record_count,
        cast(sum(loads.accepted_count + loads.duplicate_count + loads.erased_count) as bigint) as known_count
    from ledger.loads
    inner join settings on settings.run_id = loads.run_id
    inner join config.sources on sources.source = loads.source
    group by loads.source
),

-- Of a few events a share says nothing.
history_numbered as (
    select
        history.kind,
        history.subject,
        cast(history.item_count as double) / history.whole_count as share_rate,
        row_number() over (
            partition by history.kind, history.subject order by history.run_id desc
            rows between unbounded preceding and current row
        ) as run_rank
    from ledger.shares as history
    cross join settings
    where history.whole_count >= 100 and history.run_id < settings.run_id
),

history_summed as (
    select kind, subject, count(*) as run_count, max(share_rate) as most_rate
    from history_numbered
    where run_rank <= 28
    group by kind, subject
),

shares_compared as (
    select
        shares.kind,
        shares.subject,
        shares.item_count,
        shares.whole_count,
        cast(shares.item_count as double) / shares.whole_count as share_rate,
        history_summed.run_count,
        history_summed.most_rate,
        -- Three standard deviations of what chance alone adds to the most that was seen.
        shares.whole_count * history_summed.most_rate
        + 3 * sqrt(shares.whole_count * history_summed.most_rate * (1 - history_summed.most_rate)) as expected_count
    from insights._run_shares as shares
    inner join history_summed on history_summed.kind = shares.kind and history_summed.subject = shares.subject
    where shares.whole_count >= 100 and history_summed.run_count >= 7
)

select
    'empty_input' as kind,
    source as subject,
    'critical' as severity,
    record_count as item_count,
    cast(1 as double) as share_rate,
    concat(
        'The files that came of source ', source, ' hold ', record_count,
        ' records, and none of them became an event. See its `where`, and the quarantine for why.'
    ) as detail
from loads_summed
where record_count > 0 and known_count = 0

union all

select
    'jumped_share' as kind,
    concat(kind, ': ', subject) as subject,
    'critical' as severity,
    item_count,
    share_rate,
    concat(
        item_count, ' of ', whole_count, ' events that came with this run (', round(100 * share_rate, 1), ' %) ',
        case kind
            when 'late' then concat('were received more than a day after they happened, in source ', subject)
            when 'bots' then concat('are of programs, in source ', subject)
            else concat('are in no stage of model ', subject)
        end,
        '; in the last ', run_count, ' runs it was never more than ', round(100 * most_rate, 1), ' %. See what changed there.'
    ) as detail
from shares_compared
where
    item_count >= 10
    and share_rate >= 0.01
    and share_rate > most_rate + least(most_rate, 0.1)
    and item_count > expected_count
