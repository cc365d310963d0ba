-- The traits that persona rules read: as they were when the journey began, and as they are now.
-- Grain: person_key, journey_index, trait.
with journeys as (
    select person_key, journey_index, entered_at
    from kernel.journeys
),

-- A value dated after the high-water mark is not known yet.
traits_known as (
    select users.person_key, users.user_id, traits.trait, traits.trait_value, traits.valid_from
    from sources.traits
    inner join config.persona_traits as traits_wanted on traits_wanted.trait = traits.trait
    inner join identity.users on users.user_key = traits.user_key
    cross join config.settings
    where traits.valid_from is null or traits.valid_from <= settings.high_water_at
),

-- Undated values hold always, but any dated one says more. A person may have several users; the least user_id decides.
values_ranked_now as (
    select
        person_key,
        trait,
        trait_value,
        row_number() over (
            partition by person_key, trait
            order by valid_from desc nulls last, user_id asc, trait_value asc
            rows between unbounded preceding and current row
        ) as rank_now
    from traits_known
),

values_now as (
    select person_key, trait, trait_value as latest_value
    from values_ranked_now
    where rank_now = 1
),

values_ranked_at_entry as (
    select
        journeys.person_key,
        journeys.journey_index,
        traits_known.trait,
        traits_known.trait_value,
        row_number() over (
            partition by journeys.person_key, journeys.journey_index, traits_known.trait
            order by traits_known.valid_from desc nulls last, traits_known.user_id asc, traits_known.trait_value asc
            rows between unbounded preceding and current row
        ) as rank_at_entry
    from journeys
    inner join traits_known
        on traits_known.person_key = journeys.person_key
        and (traits_known.valid_from is null or traits_known.valid_from <= journeys.entered_at)
),

values_at_entry as (
    select person_key, journey_index, trait, trait_value
    from values_ranked_at_entry
    where rank_at_entry = 1
)

select
    journeys.person_key,
    journeys.journey_index,
    values_now.trait,
    values_at_entry.trait_value,
    values_now.latest_value
from journeys
inner join values_now on values_now.person_key = journeys.person_key
left join values_at_entry
    on values_at_entry.person_key = journeys.person_key
    and values_at_entry.journey_index = journeys.journey_index
    and values_at_entry.trait = values_now.trait
