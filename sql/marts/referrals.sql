-- How many others persons bring, and how soon; empty where the data do not say who brought a person.
-- Grain: persona.
with personas_counted as (
    select
        coalesce(persona, 'all') as persona,
        count(*) as person_count,
        count(*) filter (where is_settled) as settled_count,
        count(*) filter (where not is_settled) as pending_count,
        count(*) filter (where brought_count > 0) as bringer_count,
        count(*) filter (where is_settled and brought_in_time_count > 0) as settled_bringer_count,
        cast(sum(brought_count) as bigint) as brought_count,
        cast(sum(case when is_settled then brought_in_time_count else 0 end) as bigint) as settled_brought_count,
        cast(sum(case when is_settled then brought_count - brought_in_time_count else 0 end) as bigint) as late_brought_count,
        cast(sum(case when is_settled then 0 else brought_count end) as bigint) as pending_brought_count,
        cast(sum(case when is_brought then brought_count else 0 end) as bigint) as further_brought_count,
        cast(sum(case when is_order_settled then brought_after_order_count else 0 end) as bigint) as brought_after_order_count
    from analyses.referral_persons
    group by grouping sets ((persona), ())
),

personas_listed as (
    select persona from config.personas
    union all
    select 'all' as persona
)

select
    personas_listed.persona,
    coalesce(counts.person_count, 0) as person_count,
    coalesce(counts.settled_count, 0) as settled_count,
    coalesce(counts.pending_count, 0) as pending_count,
    coalesce(counts.bringer_count, 0) as bringer_count,
    coalesce(counts.settled_bringer_count, 0) as settled_bringer_count,
    coalesce(counts.brought_count, 0) as brought_count,
    coalesce(counts.settled_brought_count, 0) as settled_brought_count,
    coalesce(counts.late_brought_count, 0) as late_brought_count,
    coalesce(counts.pending_brought_count, 0) as pending_brought_count,
    coalesce(counts.further_brought_count, 0) as further_brought_count,
    coalesce(counts.brought_after_order_count, 0) as brought_after_order_count,
    rates.referral_factor,
    rates.referral_factor_low,
    rates.referral_factor_high,
    rates.bringer_rate,
    rates.bringer_rate_low,
    rates.bringer_rate_high,
    rates.p50_seconds_to_bring,
    rates.p50_seconds_to_bring_low,
    rates.p50_seconds_to_bring_high,
    rates.p50_seconds_from_order,
    rates.p50_seconds_from_order_low,
    rates.p50_seconds_from_order_high,
    coalesce(rates.deepest_generation, 0) as deepest_generation,
    coalesce(counts.settled_count, 0) < settings.min_count as is_small
from config.referrals
cross join personas_listed
cross join config.settings
left join personas_counted as counts on counts.persona = personas_listed.persona
left join analyses.referral_rates as rates on rates.persona = personas_listed.persona
