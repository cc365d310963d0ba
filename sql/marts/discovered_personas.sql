-- Personas discovered from what is known after the first visit, beside the configured ones.
-- Grain: discovered_persona.
with classes as (
    select
        discovered_persona, kind, person_count, share_low, share_high, certainty_rate, stability, converted_count,
        not_converted_count, pending_count, matured_count, conversion_rate, conversion_low, conversion_high, prior_rate,
        description, fitted_at
    from analyses.discovered_classes
),

persons_known as (
    select sum(person_count) as person_count
    from classes
    where kind in ('class', 'unclear')
)

select
    classes.discovered_persona,
    classes.kind,
    classes.person_count,
    case
        when classes.kind in ('class', 'unclear')
            then cast(classes.person_count as double) / nullif(persons_known.person_count, 0)
    end as share_rate,
    classes.share_low,
    classes.share_high,
    classes.certainty_rate,
    classes.stability,
    -- The bar of Hennig (2007) for a cluster that is valid.
    classes.stability < 0.75 as is_unstable,
    classes.converted_count,
    classes.not_converted_count,
    classes.pending_count,
    classes.matured_count,
    classes.conversion_rate,
    classes.conversion_low,
    classes.conversion_high,
    classes.prior_rate,
    classes.description,
    classes.fitted_at
from classes
cross join persons_known
