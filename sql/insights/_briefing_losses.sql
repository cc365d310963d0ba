-- The greatest loss of each funnel that no listed cause explains: of all configured funnels and of the first model's stages.
-- Grain: funnel.
with losses_ranked as (
    select
        steps.funnel,
        steps.step,
        steps.step_index,
        steps.unit,
        steps.person_count,
        steps.drop_off_count,
        funnels.funnel_index,
        funnels.kind,
        coalesce(funnels.model, models.model) as model,
        row_number() over (
            partition by steps.funnel order by steps.drop_off_count desc, steps.step_index
        ) as loss_rank
    from marts.funnel_steps as steps
    inner join config.funnels as funnels on funnels.funnel = steps.funnel
    inner join config.models as models on models.model_index = 1
    left join config.stages as following
        on funnels.kind = 'stages' and following.model = steps.funnel and following.stage_index = steps.step_index + 1
    -- Who has not done a thing again yet is not lost.
    where coalesce(following.is_repeat, false) = false
        and steps.persona = 'all' and steps.period = 'all' and steps.drop_off_count > 0
        and (funnels.kind = 'steps' or steps.funnel = models.model)
),

causes_listed as (
    select distinct model, stage
    from insights.opportunities
    where persona = 'all' and period = 'all' and grade <> 'association'
        and (coalesce(lost_count, 1) > 0 or worth_amount > 0 or sentiment_effect < 0)
),

-- Thousands are parted by hand, without the zeros that lead: formats of numbers differ between engines.
losses_written as (
    select
        funnel, step, step_index, unit, drop_off_count, funnel_index, kind, model, loss_rank,
        ltrim(concat(
            lpad(cast(drop_off_count // 1000000 as varchar), 3, '0'), ',',
            lpad(cast(drop_off_count // 1000 % 1000 as varchar), 3, '0'), ',',
            lpad(cast(drop_off_count % 1000 as varchar), 3, '0')
        ), '0,') as drop_off_text,
        ltrim(concat(
            lpad(cast(person_count // 1000000 as varchar), 3, '0'), ',',
            lpad(cast(person_count // 1000 % 1000 as varchar), 3, '0'), ',',
            lpad(cast(person_count % 1000 as varchar), 3, '0')
        ), '0,') as person_text
    from losses_ranked
)

select
    losses.funnel,
    losses.kind as funnel_kind,
    losses.funnel_index,
    losses.step,
    losses.step_index,
    losses.drop_off_count,
    steps.remedy,
    concat(
        case losses.kind when 'steps' then concat('Funnel ', losses.funnel, ': ') else '' end,
        losses.drop_off_text, ' of ', losses.person_text, ' ', losses.unit,
        case when regexp_full_match(losses.step, '[0-9]+ of [0-9]+ steps') then 's leave after ' else 's leave at ' end,
        -- Steps of configured funnels have no label: their names as words.
        coalesce(
            labels.label,
            case
                when losses.step = lower(losses.step) then concat(upper(substr(losses.step, 1, 1)), replace(substr(losses.step, 2), '_', ' '))
                else losses.step
            end
        ),
        '; no cause stands out.'
    ) as headline
from losses_written as losses
left join config.funnel_steps as steps
    on steps.funnel_index = losses.funnel_index
    and steps.step_index = losses.step_index
left join config.labels
    on labels.kind = 'stage'
    and labels.model = losses.funnel
    and labels.name = losses.step
left join causes_listed as causes
    on causes.stage = losses.step
    and causes.model = losses.model
where losses.loss_rank = 1 and causes.stage is null
