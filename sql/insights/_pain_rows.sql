-- Every listed pain point with all that is said of it but its headline.
-- Grain: pain_ix, persona, period.
with rows_gathered as (
    select
        losses.pain_ix, losses.persona, losses.period, losses.model, losses.model_index, losses.stage, losses.stage_index,
        losses.person_count, losses.lost_count, losses.lost_low, losses.lost_high, losses.dropped_count,
        losses.goal_lost_count, losses.goal_lost_low, losses.goal_lost_high,
        losses.sentiment_effect, worth.pain_rank, worth.worth_amount, worth.worth_low, worth.worth_high,
        worth.at_stake_amount, coalesce(shared_persons.overlap_count, 0) as overlap_count,
        -- Who is lost in a row above counts there. Where nobody is lost the worth is of refunds, which are not shared.
        case
            when shared_persons.lost_person_count > 0
                then cast(
                    worth.worth_amount * cast(shared_persons.lost_alone_count as double) / shared_persons.lost_person_count
                    as decimal(18, 4)
                )
            else worth.worth_amount
        end as worth_not_above_amount
    from insights._pain_losses as losses
    inner join insights._pain_worth as worth
        on worth.pain_ix = losses.pain_ix
        and worth.persona = losses.persona
        and worth.period = losses.period
    left join insights._pain_overlaps as shared_persons
        on shared_persons.pain_ix = losses.pain_ix
        and shared_persons.persona = losses.persona
        and shared_persons.period = losses.period
),

worth_added as (
    select
        pain_ix, persona, period, model, model_index, stage, stage_index, person_count, lost_count, lost_low, lost_high,
        goal_lost_count, goal_lost_low, goal_lost_high, dropped_count, sentiment_effect, pain_rank, worth_amount, worth_low, worth_high, at_stake_amount, overlap_count,
        worth_not_above_amount,
        sum(worth_not_above_amount) over (
            partition by model_index, persona, period, stage_index
            order by pain_rank, pain_ix
            rows between unbounded preceding and current row
        ) as running_amount
    from rows_gathered
),

-- A handful says nothing of whether it comes back, so only what is listed counts.
spread_counted as (
    select
        pain_ix,
        count(distinct case when persona <> 'all' then persona end) as persona_count,
        count(distinct case when period <> 'all' then period end) as month_count
    from insights._pain_losses
    group by pain_ix
)

select
    worth_added.pain_ix,
    worth_added.persona,
    worth_added.period,
    worth_added.model,
    worth_added.pain_rank,
    worth_added.stage,
    pains.subject,
    pains.kind,
    pains.grade,
    pains.slice,
    pains.first_day,
    pains.last_day,
    pains.is_ongoing,
    case when spread_counted.persona_count > 1 or spread_counted.month_count > 1 then 'recurring' else 'specific' end
        as scope,
    worth_added.person_count,
    parts.compared_count,
    parts.rate,
    parts.expected_rate,
    cast(round(parts.rate * worth_added.person_count) as bigint) as went_on_count,
    worth_added.lost_count,
    worth_added.lost_low,
    worth_added.lost_high,
    worth_added.goal_lost_count,
    worth_added.goal_lost_low,
    worth_added.goal_lost_high,
    worth_added.dropped_count,
    pains.compared_with,
    pains.q_value,
    pains.e_value,
    pains.within_seconds,
    worth_added.worth_amount,
    worth_added.worth_low,
    worth_added.worth_high,
    -- Beyond what is at stake at the stage nothing is left for a row to add.
    case
        when worth_added.worth_not_above_amount is not null
            then cast(
                least(worth_added.running_amount, worth_added.at_stake_amount)
                - least(worth_added.running_amount - worth_added.worth_not_above_amount, worth_added.at_stake_amount)
                as decimal(18, 4)
            )
    end as worth_alone_amount,
    worth_added.at_stake_amount,
    worth_added.overlap_count,
    cast(round(parts.refund_count) as bigint) as refunded_count,
    worth_added.sentiment_effect,
    settings.report_currency as currency,
    stages.owner
from worth_added
inner join statistics.pains as pains on pains.pain_ix = worth_added.pain_ix
inner join statistics.pain_parts as parts
    on parts.pain_ix = worth_added.pain_ix
    and parts.persona = worth_added.persona
    and parts.period = worth_added.period
inner join config.stages
    on stages.model_index = worth_added.model_index
    and stages.stage_index = worth_added.stage_index
inner join spread_counted on spread_counted.pain_ix = worth_added.pain_ix
cross join config.settings
