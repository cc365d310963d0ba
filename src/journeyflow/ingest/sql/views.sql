-- Made anew whenever the warehouse is opened, after its tables are those of the newest schema.
-- Counts and codes only: nothing that reads the ledger sees a quarantined row. File 0 is every file of traits.
create or replace view ledger.reasons as
with landed_files as (
    select file_ix, source, record_count
    from ledger.files
    where is_landed
),

sources_summed as (
    select source, cast(sum(record_count) as bigint) as landed_count
    from landed_files
    group by source
)

select
    coalesce(landed_files.source, 'people') as source,
    quarantine.reason,
    count(*) as reason_count,
    max(sources_summed.landed_count) as landed_count
from landed.quarantine as quarantine
left join landed_files on landed_files.file_ix = quarantine.file_ix
left join sources_summed on sources_summed.source = landed_files.source
group by coalesce(landed_files.source, 'people'), quarantine.reason;
