-- Whether a person has agreed to the messages of an audience. Where values disagree there is no consent.
-- Grain: audience_index, person_key.
with values_given as (
    select audiences.audience_index, traits.user_key, traits.trait_value as given_value, traits.valid_from
    from config.audiences as audiences
    inner join sources.traits as traits on traits.trait = audiences.consent_trait

    union all

    select audiences.audience_index, said.user_key, said.property_value as given_value, said.occurred_at as valid_from
    from config.audiences as audiences
    inner join analyses.audience_properties as said on said.property = audiences.consent_property
),

values_read as (
    select
        given.audience_index,
        users.person_key,
        users.user_key,
        given.valid_from,
        given.valid_from is null or given.valid_from <= settings.high_water_at as is_valid,
        consents.consent_value is not null as is_consent
    from values_given as given
    inner join identity.users as users on users.user_key = given.user_key
    cross join config.settings as settings
    left join config.audience_consents as consents
        on consents.audience_index = given.audience_index
        and consents.consent_value = lower(trim(given.given_value))
),

latest_dated as (
    select audience_index, user_key, max(valid_from) as valid_from
    from values_read
    where is_valid and valid_from is not null
    group by audience_index, user_key
)

-- Every id of the person counts. A later value takes the place of an earlier one; one without a date, and one that is
-- dated after the high-water mark, can only withdraw.
select
    values_read.audience_index,
    values_read.person_key,
    min(case when values_read.is_consent then 1 else 0 end) = 1
    and max(case when values_read.is_valid then 1 else 0 end) = 1 as has_consent
from values_read
left join latest_dated
    on latest_dated.audience_index = values_read.audience_index
    and latest_dated.user_key = values_read.user_key
where values_read.valid_from is null or not values_read.is_valid or values_read.valid_from = latest_dated.valid_from
group by values_read.audience_index, values_read.person_key
