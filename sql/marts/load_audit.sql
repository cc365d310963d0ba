-- What became of every record of every input file: nothing is lost silently.
-- Grain: one row per run_id and source_file.
with loads as (
    select
        run_id,
        source_file,
        source,
        status,
        record_count,
        accepted_count,
        quarantined_count,
        duplicate_count,
        conflicting_count,
        filtered_count,
        erased_count,
        sha256,
    from ledger.loads
),

-- Two sources may read one file, and each has its own say over a record; a rebuild reads every version of a file.
sources_summed as (
    select
        run_id,
        source_file,
        string_agg(distinct source, ', ' order by source) as sources,
        max(status) as status,
        cast(sum(record_count) as bigint) as record_count,
        cast(sum(accepted_count) as bigint) as accepted_count,
        cast(sum(quarantined_count) as bigint) as quarantined_count,
        cast(sum(duplicate_count) as bigint) as duplicate_count,
        cast(sum(conflicting_count) as bigint) as conflicting_count,
        cast(sum(filtered_count) as bigint) as filtered_count,
        cast(sum(erased_count) as bigint) as erased_count,
        string_agg(distinct sha256, ', ' order by sha256) as sha256,
    from loads
    group by run_id, source_file
)

select
    run_id,
    source_file,
    sources,
    status,
    record_count,
    accepted_count,
    quarantined_count,
    duplicate_count,
    conflicting_count,
    filtered_count,
    erased_count,
    sha256,
from sources_summed
