-- Views that are created again whenever the warehouse is opened, after the migrations.
-- Counts and codes only, no quarantined rows. File 0 stands for every file of traits, -1 for those of spend.
create or replace view ledger.reasons as
with loaded_files as (
    select file_ix, source, record_count
    from ledger.files
    where is_loaded
),

sources_summed as (
    select source, cast(sum(record_count) as bigint) as loaded_count
    from loaded_files
    group by source
)

select
    case when quarantine.file_ix = -1 then 'spend' else coalesce(loaded_files.source, 'people') end as source,
    quarantine.reason,
    count(*) as reason_count,
    max(sources_summed.loaded_count) as loaded_count
from raw.quarantine as quarantine
left join loaded_files on loaded_files.file_ix = quarantine.file_ix
left join sources_summed on sources_summed.source = loaded_files.source
group by
    case when quarantine.file_ix = -1 then 'spend' else coalesce(loaded_files.source, 'people') end, quarantine.reason;

-- First event since the last run that recorded its shares; events of failed runs count too.
create or replace view ledger.new_events as
with last_recorded as (
    select coalesce(max(run_id), '') as run_id
    from ledger.shares
),

files_since as (
    select distinct files.file_ix
    from ledger.files as files
    inner join ledger.loads as loads on loads.source = files.source and loads.sha256 = files.sha256
    where files.is_loaded and loads.status = 'loaded' and loads.run_id > (select run_id from last_recorded)
)

select min(event_ix) as first_event_ix
from raw.events
where file_ix in (select file_ix from files_since);
