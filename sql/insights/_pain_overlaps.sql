-- How many persons of each pain point are in a row above of the same map, and how many of its lost persons are in none.
-- Grain: pain_ix, persona, period.
with pains_ranked as (
    select pain_ix, model_index, stage_index, persona, period, pain_rank
    from insights._pain_worth
),

persons_placed as (
    select
        pains_ranked.pain_ix, pains_ranked.model_index, pains_ranked.stage_index, pains_ranked.persona, pains_ranked.period,
        pains_ranked.pain_rank, persons.person_key, persons.is_lost, persons.persons_each
    from statistics.pain_persons as persons
    inner join pains_ranked
        on pains_ranked.pain_ix = persons.pain_ix
        and pains_ranked.persona in ('all', persons.persona)
        and pains_ranked.period in ('all', persons.period)
),

ranks_found as (
    select
        pain_ix,
        persona,
        period,
        pain_rank,
        is_lost,
        persons_each,
        min(pain_rank) over (partition by model_index, persona, period, person_key) as first_rank,
        min(case when is_lost then pain_rank end) over (
            partition by model_index, persona, period, stage_index, person_key
        ) as first_lost_rank
    from persons_placed
)

select
    pain_ix,
    persona,
    period,
    cast(sum(case when first_rank < pain_rank then persons_each else 0 end) as bigint) as overlap_count,
    cast(sum(case when is_lost then persons_each else 0 end) as bigint) as lost_person_count,
    cast(sum(case when is_lost and first_lost_rank = pain_rank then persons_each else 0 end) as bigint) as lost_alone_count
from ranks_found
group by pain_ix, persona, period
