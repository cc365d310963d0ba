-- The latest values of the traits that lists show, of the persons of audiences.
-- Grain: person_key, trait.
with persons_listed as (
    select distinct person_key
    from analyses.audience_matches
),

values_ranked as (
    select
        users.person_key,
        traits.trait,
        traits.trait_value,
        row_number() over (
            partition by users.person_key, traits.trait
            order by traits.valid_from desc nulls last, users.user_id asc, traits.trait_value asc
            rows between unbounded preceding and current row
        ) as value_rank
    from sources.traits as traits
    inner join config.audience_traits as wanted on wanted.trait = traits.trait
    inner join identity.users as users on users.user_key = traits.user_key
    inner join persons_listed on persons_listed.person_key = users.person_key
    cross join config.settings as settings
    where traits.valid_from is null or traits.valid_from <= settings.high_water_at
)

select person_key, trait, trait_value
from values_ranked
where value_rank = 1
