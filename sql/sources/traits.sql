-- What is known of users from the files of `people:`.
-- Grain: no key; a user may have several values of a trait, distinguished by valid_from.
with traits as (
    select
        user_key,
        user_id,
        trait,
        trait_value,
        valid_from,
    from raw.traits
)

select
    user_key,
    user_id,
    trait,
    trait_value,
    valid_from,
from traits
