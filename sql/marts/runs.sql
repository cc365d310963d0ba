-- Every run of the project, so that a reader sees how fresh the tables are and which runs failed.
-- Grain: one row per run_id.
select
    run_id,
    started_at,
    finished_at,
    status,
    high_water_at,
    config_hash,
    version,
    event_count,
    alarm_count,
    elapsed_seconds,
from ledger.runs
