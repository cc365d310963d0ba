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
),

-- The text of a device may be that of a user too. They are in one component, see identity.person_components.
ids_compared as (
    select
        ids_gathered.*,
        id_kind = 'd:' and count(*) over (partition by clear_id) > 1 as is_taken
    from ids_gathered
)

select
    ids_compared.person_key,
    case
        when settings.is_clear_person_id and not ids_compared.is_taken then ids_compared.clear_id
        -- Hashed twice with the secret in front, so that a known hash cannot be extended into another's.
        else substr(
            sha256(concat(
                settings.person_secret,
                sha256(concat(settings.person_secret, ids_compared.id_kind, ids_compared.clear_id))
            )), 1, 32
        )
    end as person_id,
    ids_compared.component_key
from ids_compared
cross join settings
