-- The personas of people's latest journeys.
-- Grain: persona.
with configured as (
    select persona, rule, description, is_outcome_based, is_trait_undated
    from config.personas
),

-- Journeys are numbered from 1 without a gap, so the last number is the latest journey.
persons_counted as (
    select journey_personas.persona, count(*) as person_count
    from journeys.personas as journey_personas
    inner join kernel.persons
        on persons.person_key = journey_personas.person_key
        and persons.journey_count = journey_personas.journey_index
    group by journey_personas.persona
),

everybody_counted as (
    select coalesce(cast(sum(person_count) as bigint), 0) as person_count
    from persons_counted
),

rows_listed as (
    select
        configured.persona,
        coalesce(persons_counted.person_count, 0) as person_count,
        configured.rule,
        configured.is_outcome_based,
        configured.is_trait_undated,
        configured.description
    from configured
    left join persons_counted on persons_counted.persona = configured.persona

    union all

    select
        'all' as persona,
        person_count,
        cast(null as varchar) as rule,
        false as is_outcome_based,
        false as is_trait_undated,
        'Everybody; a total row, not a persona.' as description
    from everybody_counted
)

select
    rows_listed.persona,
    rows_listed.person_count,
    cast(rows_listed.person_count as double) / nullif(everybody_counted.person_count, 0) as share_rate,
    rows_listed.rule,
    rows_listed.is_outcome_based,
    rows_listed.is_trait_undated,
    rows_listed.description
from rows_listed
cross join everybody_counted
