-- What became of every record of every input file: nothing is lost silently.
-- Grain: one row per run_id and source_file.
with loads as (
    select
        run_id,
        source_file,
        record_count,
        accepted_count,
        quarantined_count,
        duplicate_count,
        conflicting_count,
        filtered_count,
        erased_count,
        sha256,
    from ledger.loads
)

select
    run_id,
    source_file,
    record_count,
    accepted_count,
    quarantined_count,
    duplicate_count,
    conflicting_count,
    filtered_count,
    erased_count,
    sha256,
from loads
