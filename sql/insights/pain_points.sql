-- What makes persons leave: incidents, gaps, exposures, broken promises and friction, the costliest first.
-- Grain: model, persona, period, pain_rank.
select
    pain_rows.model,
    pain_rows.persona,
    pain_rows.period,
    pain_rows.pain_rank,
    pain_rows.stage,
    pain_rows.subject,
    pain_rows.kind,
    pain_rows.grade,
    pain_rows.slice,
    pain_rows.first_day,
    pain_rows.last_day,
    pain_rows.is_ongoing,
    pain_rows.scope,
    pain_rows.person_count,
    pain_rows.compared_count,
    pain_rows.rate,
    pain_rows.expected_rate,
    pain_rows.lost_count,
    pain_rows.lost_low,
    pain_rows.lost_high,
    pain_rows.q_value,
    pain_rows.e_value,
    headlines.headline,
    pain_rows.went_on_count,
    pain_rows.compared_with,
    pain_rows.refunded_count,
    pain_rows.sentiment_effect,
    pain_rows.worth_amount,
    pain_rows.worth_low,
    pain_rows.worth_high,
    pain_rows.currency,
    pain_rows.goal_lost_count,
    pain_rows.goal_lost_low,
    pain_rows.goal_lost_high
from insights._pain_rows as pain_rows
inner join insights._pain_headlines as headlines
    on headlines.pain_ix = pain_rows.pain_ix
    and headlines.persona = pain_rows.persona
    and headlines.period = pain_rows.period
