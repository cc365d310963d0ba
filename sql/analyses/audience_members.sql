-- The persons of every audience, and which of them are listed; of the others the reason why not.
-- Grain: audience_index, person_key.
with addresses_refused as (
    -- Who has refused keeps the address out, whoever else has it: a family's, or the same person's under another id.
    select distinct audiences.audience_index, lower(trim(traits.trait_value)) as address
    from config.audiences as audiences
    inner join analyses.audience_consents as consents on consents.audience_index = audiences.audience_index
    inner join identity.users as users on users.person_key = consents.person_key
    inner join sources.traits as traits
        on traits.user_key = users.user_key
        and traits.trait = audiences.email_trait
    where not consents.has_consent
)

select
    matches.audience_index,
    matches.person_key,
    users.user_id,
    emails.trait_value as email,
    case
        when not matches.is_inside then 'outside'
        when users.user_id is null then 'without_id'
        when audiences.email_trait is not null
            and (emails.trait_value is null or emails.trait_value not like '_%@_%' or contains(emails.trait_value, ' '))
            then 'without_id'
        when coalesce(consents.has_consent, false) and refused.address is null then 'listed'
        else 'without_consent'
    end as outcome
from analyses.audience_matches as matches
inner join config.audiences as audiences on audiences.audience_index = matches.audience_index
-- The key of a person who has an id is that of the id.
left join identity.users as users on users.user_key = matches.person_key
left join analyses.audience_values as emails
    on emails.person_key = matches.person_key
    and emails.trait = audiences.email_trait
left join analyses.audience_consents as consents
    on consents.audience_index = matches.audience_index
    and consents.person_key = matches.person_key
left join addresses_refused as refused
    on refused.audience_index = matches.audience_index
    and refused.address = lower(trim(emails.trait_value))
