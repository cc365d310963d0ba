-- Which configured personas the persons of each discovered one have.
-- Grain: discovered_persona, persona.
select
    discovered_persona,
    persona,
    person_count,
    cast(person_count as double) / sum(person_count) over (partition by discovered_persona) as share_rate,
    cast(person_count as double) / sum(person_count) over (partition by persona) as persona_share_rate,
    cast(person_count as double) * sum(person_count) over ()
        / (sum(person_count) over (partition by discovered_persona) * sum(person_count) over (partition by persona)) as lift
from analyses.discovered_overlaps
