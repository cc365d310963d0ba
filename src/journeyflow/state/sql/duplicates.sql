-- Copies of events that occur more than once, in the new files or in new and earlier files.
-- Grain of duplicate_versions: one row per stored copy. Of duplicate_counts: one row per new file.
create or replace temp table duplicate_versions as
with
repeated as (
    select event_key
    from raw.events
    where event_key in (select event_key from raw.events where event_ix >= {first_ix})
    group by event_key
    having count(*) > 1
),

versions as (
    select
        event_ix, event_key, received_at, sequence, file_ix, event_ix >= {first_ix} as is_new,
        md5(json_array({content})::varchar) as content_hash
    from raw.events
    where event_key in (select event_key from repeated)
)

select
    event_ix, event_key, file_ix, is_new, content_hash,
    row_number() over (
        partition by event_key
        order by received_at nulls last, content_hash, sequence nulls last, event_ix
    ) as place,
    place = 1 as is_winner,
    -- Events are numbered in the order of arrival, file after file.
    min(event_ix) over (partition by event_key, case when is_new then file_ix end) as arrival_ix
from versions;

-- Counted as if each file had been deduplicated on arrival: every row but the first of its event is a duplicate of its file.
-- A row conflicts when its content differs from the winner's; where a new row wins, its file counts the replaced row.
create or replace temp table duplicate_counts as
with
compared as (
    select
        event_key, file_ix, arrival_ix, is_new, content_hash,
        event_ix > min(event_ix) over (partition by event_key) as is_duplicate,
        arg_min(content_hash, place) over (
            partition by event_key order by arrival_ix range between unbounded preceding and current row
        ) as winning_hash,
        arg_min(content_hash, place) over (
            partition by event_key order by arrival_ix range between unbounded preceding and 1 preceding
        ) as stored_hash
    from duplicate_versions
),

counted as (
    select
        file_ix,
        count(*) filter (where is_duplicate) as duplicate_count,
        count(*) filter (where content_hash <> winning_hash)
            + max(case when stored_hash <> winning_hash then 1 else 0 end) as conflicting_count
    from compared
    where is_new
    group by file_ix, event_key
)

select
    file_ix,
    cast(sum(duplicate_count) as bigint) as duplicate_count,
    cast(sum(conflicting_count) as bigint) as conflicting_count
from counted
group by file_ix;
