-- Every person that may own an event, with the id that is published.
-- Grain: person_key.
with identities as (
    select device_key, anonymous_id, person_key, component_key
    from identity.identities
),

users as (
    select user_key, user_id, person_key, component_key
    from identity.users
),

settings as (
    select is_clear_person_id, person_secret
    from config.settings
),

ids_gathered as (
    -- A person of several user_ids is published under the one that gave the key, or the least where that one was never seen.
    select
        person_key,
        component_key,
        'u:' as id_kind,
        coalesce(min(user_id) filter (where user_key = person_key), min(user_id)) as clear_id
    from users
    group by person_key, component_key

    union all

    select person_key, component_key, 'd:' as id_kind, anonymous_id as clear_id
    from identities
    where person_key = device_key
)

select
    ids_gathered.person_key,
    case
        when settings.is_clear_person_id then ids_gathered.clear_id
        -- Hashed twice with the secret in front, so that a known hash cannot be extended into another's.
        else substr(
            sha256(concat(
                settings.person_secret,
                sha256(concat(settings.person_secret, ids_gathered.id_kind, ids_gathered.clear_id))
            )), 1, 32
        )
    end as person_id,
    ids_gathered.component_key
from ids_gathered
cross join settings
