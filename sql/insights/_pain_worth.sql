-- What each pain point costs, never more than is at stake or than a total of which it is part, and its rank in the map.
-- Grain: pain_ix, persona, period.
with losses_valued as (
    select
        losses.pain_ix, losses.model_index, losses.stage_index, losses.kind, losses.persona, losses.period,
        losses.person_count, losses.lost_count, losses.lost_low, losses.lost_high, losses.sentiment_effect,
        pains.grade, pains.subject, pains.slice,
        case when losses.kind = 'promise' then coalesce(losses.refund_count, 0) else 0 end as refund_count,
        -- Where no order is known to be lost to a promise, and none refunded, no money can be said: not 0.
        case
            when losses.kind <> 'promise' or losses.lost_high > 0 or losses.refund_count > 0
                then pain_values.value_each_amount
        end as value_each_amount,
        pain_values.at_stake_amount
    from insights._pain_losses as losses
    inner join statistics.pains as pains on pains.pain_ix = losses.pain_ix
    inner join insights._pain_values as pain_values
        on pain_values.pain_ix = losses.pain_ix
        and pain_values.persona = losses.persona
        and pain_values.period = losses.period
),

-- Without a loss that is known, least() would take the value at stake for it.
worth_bounded as (
    select
        pain_ix, persona, period, at_stake_amount,
        case
            when lost_count is not null and value_each_amount is not null
                then least(try_cast((lost_count + refund_count) * value_each_amount as decimal(18, 4)), at_stake_amount)
        end as worth_amount,
        case
            when lost_count is not null and value_each_amount is not null
                then least(try_cast((lost_low + refund_count) * value_each_amount as decimal(18, 4)), at_stake_amount)
        end as worth_low,
        case
            when lost_count is not null and value_each_amount is not null
                then least(try_cast((lost_high + refund_count) * value_each_amount as decimal(18, 4)), at_stake_amount)
        end as worth_high
    from losses_valued
),

totals_respected as (
    select
        parts.pain_ix,
        parts.persona,
        parts.period,
        parts.at_stake_amount,
        case
            when parts.worth_amount is not null
                then least(parts.worth_amount, months.worth_amount, personas.worth_amount, everyone.worth_amount)
        end as worth_amount,
        case
            when parts.worth_amount is not null
                then least(parts.worth_low, months.worth_low, personas.worth_low, everyone.worth_low)
        end as worth_low,
        case
            when parts.worth_amount is not null
                then least(parts.worth_high, months.worth_high, personas.worth_high, everyone.worth_high)
        end as worth_high
    from worth_bounded as parts
    left join worth_bounded as months
        on months.pain_ix = parts.pain_ix and months.persona = parts.persona and months.period = 'all'
    left join worth_bounded as personas
        on personas.pain_ix = parts.pain_ix and personas.persona = 'all' and personas.period = parts.period
    left join worth_bounded as everyone
        on everyone.pain_ix = parts.pain_ix and everyone.persona = 'all' and everyone.period = 'all'
),

sizes_compared as (
    select
        losses.pain_ix, losses.model_index, losses.stage_index, losses.persona, losses.period, losses.kind,
        losses.subject, losses.slice, losses.lost_count, worth.worth_amount, worth.worth_low, worth.worth_high,
        worth.at_stake_amount,
        losses.grade = 'association' as is_association,
        -- A promise is never worth nothing for want of a value: how much its breach hurt stands in.
        case
            when losses.kind = 'promise' and worth.worth_amount is null and losses.sentiment_effect is not null
                then losses.person_count * greatest(-losses.sentiment_effect, 0)
            else cast(losses.lost_low as double)
        end as rank_persons
    from losses_valued as losses
    inner join totals_respected as worth
        on worth.pain_ix = losses.pain_ix
        and worth.persona = losses.persona
        and worth.period = losses.period
)

select
    pain_ix,
    persona,
    period,
    model_index,
    stage_index,
    worth_amount,
    worth_low,
    worth_high,
    at_stake_amount,
    is_association,
    rank_persons,
    row_number() over (
        partition by model_index, persona, period
        order by
            is_association,
            -- A cost whose lower end is nothing comes after what has no price but surely costs persons.
            nullif(worth_low, 0) desc nulls last,
            rank_persons desc nulls last,
            worth_amount desc nulls last,
            lost_count desc nulls last,
            stage_index, kind, subject, slice nulls first, pain_ix
    ) as pain_rank
from sizes_compared
