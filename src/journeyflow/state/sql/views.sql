-- Made anew whenever the warehouse is opened, after its tables are those of the newest schema.
-- Counts and codes only: nothing that reads the ledger sees a quarantined row. File 0 is every file of traits.
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
    coalesce(loaded_files.source, 'people') as source,
    quarantine.reason,
    count(*) as reason_count,
    max(sources_summed.loaded_count) as loaded_count
from raw.quarantine as quarantine
left join loaded_files on loaded_files.file_ix = quarantine.file_ix
left join sources_summed on sources_summed.source = loaded_files.source
group by coalesce(loaded_files.source, 'people'), quarantine.reason;

-- Where the events begin that came since the last run that wrote down its shares: of a run that died they count too.
create or replace view ledger.new_events as
with last_told as (
    select coalesce(max(run_id), '') as run_id
    from ledger.shares
),

files_since as (
    select distinct files.file_ix
    from ledger.files as files
    inner join ledger.loads as loads on loads.source = files.source and loads.sha256 = files.sha256
    where files.is_loaded and loads.status = 'loaded' and loads.run_id > (select run_id from last_told)
)

select min(event_ix) as first_event_ix
from raw.events
where file_ix in (select file_ix from files_since);
