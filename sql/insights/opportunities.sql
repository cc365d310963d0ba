-- Pain points of grade incident or matched, broken promises among them, by what fixing them is surely worth.
-- Grain: model, persona, period, opportunity_rank.
select
    pain_rows.model,
    pain_rows.persona,
    pain_rows.period,
    row_number() over (
        partition by pain_rows.model, pain_rows.persona, pain_rows.period
        order by pain_rows.pain_rank, pain_rows.pain_ix
    ) as opportunity_rank,
    pain_rows.stage,
    case when pain_rows.kind = 'promise' then 'promise' else 'pain_point' end as origin,
    pain_rows.kind,
    pain_rows.grade,
    pain_rows.subject,
    pain_rows.slice,
    pain_rows.person_count,
    pain_rows.lost_count,
    pain_rows.lost_low,
    pain_rows.lost_high,
    pain_rows.worth_amount,
    pain_rows.worth_low,
    pain_rows.worth_high,
    pain_rows.worth_alone_amount,
    pain_rows.overlap_count,
    pain_rows.sentiment_effect,
    pain_rows.currency,
    pain_rows.owner,
    headlines.headline,
    headlines.remedy,
    pain_rows.first_day,
    pain_rows.last_day,
    pain_rows.is_ongoing,
    pain_rows.pain_rank,
    pain_rows.compared_count,
    pain_rows.went_on_count,
    pain_rows.rate,
    pain_rows.expected_rate,
    pain_rows.refunded_count,
    pain_rows.e_value,
    pain_rows.goal_lost_count,
    pain_rows.goal_lost_low,
    pain_rows.goal_lost_high
from insights._pain_rows as pain_rows
inner join insights._pain_headlines as headlines
    on headlines.pain_ix = pain_rows.pain_ix
    and headlines.persona = pain_rows.persona
    and headlines.period = pain_rows.period
where pain_rows.grade in ('incident', 'matched')
