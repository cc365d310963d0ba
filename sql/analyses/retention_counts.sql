-- Persons by cohort, age and rule: those who came back, and those who have completed the age. No empty cohorts.
-- Grain: start_index, persona, channel, cohort, age_index, rule.
-- A spell that no return ends is one per person. With `on` the total row counts those who have completed every age.
with spells_counted as (
    select
        ages.start_index,
        spells.persona,
        spells.channel,
        spells.cohort,
        ages.age_index,
        sum(spells.spell_count) filter (where not spells.is_return) as start_count,
        sum(spells.spell_count) filter (where not spells.is_return and spells.is_whole) as whole_count,
        sum(spells.spell_count) filter (
            where not spells.is_return and (spells.is_whole or spells.cohort <> 'all')
        ) as on_count,
        sum(spells.spell_count) filter (
            where spells.is_return and spells.end_age_index = ages.age_index
            and (spells.is_whole or spells.cohort <> 'all')
        ) as on_returned_count,
        sum(spells.spell_count) filter (
            where not spells.is_return and spells.end_age_index > ages.age_index
            and (spells.is_whole or spells.cohort <> 'all')
        ) as on_matured_count,
        sum(spells.over_spell_count) filter (
            where spells.end_age_index = ages.age_index and (spells.is_whole or spells.cohort <> 'all')
        ) as on_matured_returned_count,
        sum(spells.spell_count) filter (
            where not spells.is_return and spells.previous_age_index >= ages.age_index
        ) as after_returned_count,
        sum(spells.spell_count) filter (
            where not spells.is_return and spells.is_whole and spells.previous_age_index >= ages.age_index
        ) as after_matured_returned_count
    from analyses.cohort_spells as spells
    inner join config.cohort_ages as ages on ages.start_index = spells.start_index
    group by ages.start_index, spells.persona, spells.channel, spells.cohort, ages.age_index
),

rules_counted as (
    select
        start_index, persona, channel, cohort, age_index, 'on' as rule, whole_count,
        on_count as person_count,
        on_returned_count as returned_count,
        on_matured_count as matured_count,
        on_matured_returned_count as matured_returned_count
    from spells_counted
    union all
    select
        start_index, persona, channel, cohort, age_index, 'on_or_after' as rule, whole_count,
        start_count as person_count,
        after_returned_count as returned_count,
        whole_count as matured_count,
        after_matured_returned_count as matured_returned_count
    from spells_counted
)

select
    start_index,
    persona,
    channel,
    cohort,
    age_index,
    rule,
    cast(coalesce(person_count, 0) as bigint) as person_count,
    cast(coalesce(returned_count, 0) as bigint) as returned_count,
    cast(coalesce(matured_count, 0) as bigint) as matured_count,
    cast(coalesce(matured_returned_count, 0) as bigint) as matured_returned_count,
    cast(coalesce(whole_count, 0) as bigint) as whole_count
from rules_counted
