-- Days on which a rate was not what the like days before let expect, and rates that drift away slowly.
-- Grain: funnel, dimension, slice, step_index, day, age_days, kind.
with newest_day as (
    select max(days.day) as day
    from config.days
    cross join config.settings
    where days.start_at <= settings.high_water_at
),

alerts_dated as (
    select
        found.funnel_index, found.dimension, found.slice, found.step_index, found.day, found.age_days, found.kind,
        found.read_day, found.unit_count, found.reached_count, found.expected_rate, found.statistic, found.q_value,
        cast(found.reached_count as double) / nullif(found.unit_count, 0) as rate,
        case when found.statistic < 0 then 'down' else 'up' end as direction,
        substr(cast(found.day as varchar), 1, 7) as period
    from analyses.rate_alarms as found
),

-- Why the month's rate changed says why the day's may have: the greatest effect that is beyond chance and goes the same way.
causes_ranked as (
    select
        changes.funnel_index,
        changes.period,
        changes.slice,
        changes.dimension,
        changes.step_index,
        case when changes.effect < 0 then 'down' else 'up' end as direction,
        row_number() over (
            partition by changes.funnel_index, changes.period, case when changes.effect < 0 then 'down' else 'up' end
            order by abs(changes.effect) desc, changes.dimension, changes.slice, changes.step_index
        ) as cause_rank
    from analyses.rate_changes as changes
    where changes.slice <> 'all' and (changes.effect_low > 0 or changes.effect_high < 0)
),

causes_named as (
    select
        causes.funnel_index,
        causes.period,
        causes.direction,
        concat(
            case when causes.step_index = 1 then 'who came' else concat('reach ', steps.step) end,
            ', ', causes.dimension, ' ', causes.slice
        ) as cause
    from causes_ranked as causes
    inner join config.funnel_steps as steps
        on steps.funnel_index = causes.funnel_index
        and steps.step_index = causes.step_index
    where causes.cause_rank = 1
)

select
    steps.funnel,
    found.dimension,
    found.slice,
    found.step_index,
    found.day,
    found.age_days,
    found.kind,
    case when found.age_days = 0 then 'settled' else 'age' end as clock,
    steps.step,
    found.read_day,
    coalesce(found.read_day >= newest_day.day, false) as is_current,
    found.unit_count,
    found.reached_count,
    found.rate,
    found.expected_rate,
    found.statistic,
    found.q_value,
    found.direction,
    causes.cause,
    concat(
        'Funnel ', steps.funnel, ', step ', steps.step,
        case when found.dimension = 'all' then '' else concat(', ', found.dimension, ' ', found.slice) end,
        case
            when found.kind = 'drift' then concat(': the rate has drifted ', found.direction, ' by ')
            else concat(
                ': ', found.reached_count, ' of ', found.unit_count, ' (',
                cast(cast(100 * found.rate as decimal(5, 1)) as varchar), ' %) on '
            )
        end,
        cast(found.day as varchar),
        case when found.kind = 'two_days' then ' and the day before' else '' end,
        case found.age_days when 0 then '' when 1 then ', a day after entry' else concat(', ', found.age_days, ' days after entry') end,
        '; like days before: ', cast(cast(100 * found.expected_rate as decimal(5, 1)) as varchar), ' %.'
    ) as headline
from alerts_dated as found
inner join config.funnel_steps as steps
    on steps.funnel_index = found.funnel_index
    and steps.step_index = found.step_index
cross join newest_day
left join causes_named as causes
    on causes.funnel_index = found.funnel_index
    and causes.period = found.period
    and causes.direction = found.direction
