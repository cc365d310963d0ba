-- Persons lost to each pain point that is listed: no more than met it, dropped out, or are lost in a total that holds them.
-- Grain: pain_ix, persona, period.
with stages as (
    select
        model, model_index, stage, stage_index,
        stage_index = max(stage_index) over (partition by model_index) as is_last
    from config.stages
),

parts_placed as (
    select
        parts.pain_ix,
        pains.model_index,
        stages.model,
        pains.stage_index,
        stages.stage,
        pains.kind,
        parts.persona,
        parts.period,
        parts.person_count,
        parts.expected_rate is not null as is_estimated,
        -- Who can still go on, or went on another time, is not lost. Nobody drops out of the last stage.
        case
            when not stages.is_last
                then least(coalesce(map_stages.drop_off_count, 0), coalesce(funnel_steps.drop_off_count, 0))
        end as dropped_count,
        parts.lost,
        parts.lost_low,
        parts.lost_high,
        parts.goals_lost,
        parts.goals_lost_low,
        parts.goals_lost_high,
        parts.refund_count,
        parts.sentiment_effect
    from statistics.pain_parts as parts
    inner join statistics.pains as pains on pains.pain_ix = parts.pain_ix
    inner join stages
        on stages.model_index = pains.model_index
        and stages.stage_index = pains.stage_index
    left join marts.map_stages
        on map_stages.model = stages.model
        and map_stages.stage_index = stages.stage_index
        and map_stages.persona = parts.persona
        and map_stages.period = parts.period
    left join marts.funnel_steps
        on funnel_steps.funnel = stages.model
        and funnel_steps.step_index = stages.stage_index
        and funnel_steps.persona = parts.persona
        and funnel_steps.period = parts.period
),

parts_bounded as (
    select
        pain_ix, model_index, model, stage_index, stage, kind, persona, period, person_count, dropped_count,
        refund_count, sentiment_effect,
        case when is_estimated then least(cast(round(lost) as bigint), person_count, dropped_count) end as lost_count,
        case when is_estimated then least(cast(round(lost_low) as bigint), person_count, dropped_count) end as lost_low,
        case when is_estimated then least(cast(round(lost_high) as bigint), person_count, dropped_count) end
            as lost_high,
        case when is_estimated then cast(round(goals_lost) as bigint) end as goal_lost_count,
        case when is_estimated then cast(round(goals_lost_low) as bigint) end as goal_lost_low,
        case when is_estimated then cast(round(goals_lost_high) as bigint) end as goal_lost_high
    from parts_placed
),

totals_respected as (
    select
        parts.pain_ix,
        parts.model_index,
        parts.model,
        parts.stage_index,
        parts.stage,
        parts.kind,
        parts.persona,
        parts.period,
        parts.person_count,
        parts.dropped_count,
        least(parts.lost_count, months.lost_count, personas.lost_count, everyone.lost_count) as lost_count,
        least(parts.lost_low, months.lost_low, personas.lost_low, everyone.lost_low) as lost_low,
        least(parts.lost_high, months.lost_high, personas.lost_high, everyone.lost_high) as lost_high,
        least(
            parts.goal_lost_count, months.goal_lost_count, personas.goal_lost_count, everyone.goal_lost_count
        ) as goal_lost_count,
        least(parts.goal_lost_low, months.goal_lost_low, personas.goal_lost_low, everyone.goal_lost_low)
            as goal_lost_low,
        least(parts.goal_lost_high, months.goal_lost_high, personas.goal_lost_high, everyone.goal_lost_high)
            as goal_lost_high,
        parts.refund_count,
        parts.sentiment_effect
    from parts_bounded as parts
    left join parts_bounded as months
        on months.pain_ix = parts.pain_ix
        and months.persona = parts.persona
        and months.period = 'all'
    left join parts_bounded as personas
        on personas.pain_ix = parts.pain_ix
        and personas.persona = 'all'
        and personas.period = parts.period
    left join parts_bounded as everyone
        on everyone.pain_ix = parts.pain_ix
        and everyone.persona = 'all'
        and everyone.period = 'all'
)

select
    totals_respected.pain_ix,
    totals_respected.model_index,
    totals_respected.model,
    totals_respected.stage_index,
    totals_respected.stage,
    totals_respected.kind,
    totals_respected.persona,
    totals_respected.period,
    totals_respected.person_count,
    totals_respected.dropped_count,
    totals_respected.lost_count,
    totals_respected.lost_low,
    totals_respected.lost_high,
    -- Nobody reaches the goal who does not go on. Without a goal nothing is known, and `least` would pass it over.
    case
        when totals_respected.goal_lost_count is not null
            then least(totals_respected.goal_lost_count, totals_respected.lost_count)
    end as goal_lost_count,
    case
        when totals_respected.goal_lost_low is not null
            then least(totals_respected.goal_lost_low, totals_respected.lost_low)
    end as goal_lost_low,
    case
        when totals_respected.goal_lost_high is not null
            then least(totals_respected.goal_lost_high, totals_respected.lost_high)
    end as goal_lost_high,
    totals_respected.refund_count,
    totals_respected.sentiment_effect
from totals_respected
cross join config.settings
-- A persona or a month in which nobody is lost has no pain; where few met it, some must surely be lost.
where (totals_respected.persona = 'all' and totals_respected.period = 'all')
    or totals_respected.lost_low > 0
    or (
        totals_respected.person_count >= settings.min_count
        and (
            totals_respected.lost_count > 0
            or totals_respected.refund_count > 0
            or totals_respected.sentiment_effect < 0
            or totals_respected.kind = 'friction'
        )
    )
