-- Versions of the events that a file repeats, from the file itself and from the files before it.
-- Grain of duplicate_versions: one row per stored version. Of duplicate_conflicts: one row per event.
create or replace temp table duplicate_versions as
with
repeated as (
    select event_key
    from landed.events
    where event_key in (select event_key from landed.events where event_ix >= {first_ix})
    group by event_key
    having count(*) > 1
),

versions as (
    select
        event_ix, event_key, received_at, sequence, event_ix >= {first_ix} as is_new,
        md5(json_array({content})::varchar) as content_hash
    from landed.events
    where event_key in (select event_key from repeated)
)

select
    event_ix, event_key, is_new, content_hash,
    row_number() over (
        partition by event_key
        order by received_at nulls last, content_hash, sequence nulls last, event_ix
    ) = 1 as is_winner
from versions;

-- A row conflicts when its content is not the winner's; where the winner is new, the stored one lost to a row of this
-- file, which counts as this file's duplicate.
create or replace temp table duplicate_conflicts as
with
winners as (
    select event_key, content_hash, is_new from duplicate_versions where is_winner
)

select
    versions.event_key,
    count(*) filter (where versions.content_hash <> winners.content_hash) as conflicting_count
from duplicate_versions as versions
inner join winners on winners.event_key = versions.event_key
where not versions.is_winner
group by versions.event_key;
