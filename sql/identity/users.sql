-- The person that each user_id belongs to.
-- Grain: user_key.
with users_seen as (
    select distinct user_key
    from staging.events
    where user_key is not null and not is_bot and not is_internal
),

ids_read as (
    select
        user_key,
        min(user_id) as user_id,
        -- One key for two ids would merge two people unseen; the model's check stops the run.
        min(user_id) <> max(user_id) as is_collision
    from sources.events as named
    where user_key is not null
    group by user_key
),

persons_known as (
    select
        users_seen.user_key,
        ids_read.user_id,
        ids_read.is_collision,
        coalesce(aliases.person_key, users_seen.user_key) as person_key
    from users_seen
    inner join ids_read on ids_read.user_key = users_seen.user_key
    left join identity.user_aliases as aliases on aliases.user_key = users_seen.user_key
)

select
    persons_known.user_key,
    persons_known.user_id,
    persons_known.person_key,
    coalesce(components.component_key, persons_known.person_key) as component_key,
    persons_known.is_collision
from persons_known
left join identity.person_components as components on components.person_key = persons_known.person_key
