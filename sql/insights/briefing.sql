-- What to know first: at most five findings, what is no longer listed, and what cannot be seen.
-- Grain: position.
with previous_summed as (
    select
        table_name, model, persona, subject, slice, max(figure_count) as figure_count,
        coalesce(cause_kind, 'loss') as kind,
        -- An opportunity is the same at another stage; a loss is one of its step.
        case table_name when 'funnel_steps' then stage end as step,
        min(stage) as stage, min(finding_rank) as finding_rank, max(case when is_briefed then 1 else 0 end) as was_briefed
    from insights._previous_findings
    group by table_name, model, persona, subject, slice, cause_kind, case table_name when 'funnel_steps' then stage end
),

findings_compared as (
    select
        findings.finding_index, findings.table_name, findings.kind, findings.model, findings.persona, findings.stage,
        findings.finding_rank, findings.headline, findings.remedy,
        previous.figure_count as previous_count,
        case
            when runs.table_name is null then null
            when previous.table_name is null then 'new'
            -- A tenth is beyond what one run more brings to a total.
            when findings.figure_count > 1.1 * previous.figure_count then 'larger'
            when findings.figure_count < 0.9 * previous.figure_count then 'smaller'
            else 'unchanged'
        end as change
    from insights._briefing_findings as findings
    left join previous_summed as previous
        on previous.table_name = findings.table_name
        and previous.kind = findings.kind
        and previous.model = findings.model
        and previous.persona = findings.persona
        and coalesce(previous.subject, '') = coalesce(findings.subject, '')
        and coalesce(previous.slice, '') = coalesce(findings.slice, '')
        and (previous.step is null or previous.step = findings.stage)
    left join previous_summed as runs on runs.table_name = 'runs'
),

gone_ranked as (
    select
        previous.model, previous.persona, previous.stage, previous.subject, previous.slice, previous.figure_count,
        row_number() over (
            order by previous.finding_rank, previous.model, previous.persona, previous.kind, previous.subject, previous.slice
        ) as gone_rank
    from previous_summed as previous
    left join insights.opportunities as opportunities
        on opportunities.model = previous.model
        and opportunities.persona = previous.persona
        and opportunities.period = 'all'
        and opportunities.grade <> 'association'
        and opportunities.kind = previous.kind
        and opportunities.subject = previous.subject
        and coalesce(opportunities.slice, '') = coalesce(previous.slice, '')
    where previous.table_name = 'opportunities' and previous.was_briefed = 1 and opportunities.model is null
),

spots as (
    select
        kind, subject, detail, severity,
        row_number() over (
            order by case severity when 'critical' then 1 else 2 end, item_count desc, kind, subject
        ) as spot_rank
    from insights.blind_spots
    where severity <> 'note'
),

spots_counted as (
    select
        count(*) filter (where severity = 'critical') as critical_count,
        count(*) filter (where severity = 'warning') as warning_count,
        max(kind) filter (where spot_rank = 1) as kind,
        max(subject) filter (where spot_rank = 1) as subject,
        max(detail) filter (where spot_rank = 1) as detail
    from spots
),

lines_gathered as (
    select
        finding_index, headline, table_name,
        case table_name
            when 'opportunities' then concat(
                '{"model":"', replace(replace(model, '\', '\\'), '"', '\"'), '","persona":"',
                replace(replace(persona, '\', '\\'), '"', '\"'), '","period":"all","opportunity_rank":', finding_rank, '}'
            )
            else concat(
                '{"funnel":"', replace(replace(model, '\', '\\'), '"', '\"'), '","persona":"all","period":"all","step_index":',
                finding_rank, '}'
            )
        end as row_key,
        change, previous_count, kind, model, persona, remedy
    from findings_compared

    union all

    select
        0 as finding_index, headline, 'rate_alarms' as table_name, row_key, cast(null as varchar) as change,
        cast(null as bigint) as previous_count, 'rate' as kind, funnel as model, persona, cast(null as varchar) as remedy
    from insights._briefing_rates

    union all

    select
        100 + gone_rank as finding_index,
        concat('No longer listed: ', subject, case when slice is null then '' else concat(' (', slice, ')') end, ' at `', stage, '`.')
            as headline,
        'opportunities' as table_name, cast(null as varchar) as row_key, 'gone' as change, figure_count as previous_count,
        'gone' as kind, model, persona, cast(null as varchar) as remedy
    from gone_ranked
    where gone_rank <= 3

    union all

    select
        150 as finding_index, headline, 'action_effects' as table_name, row_key, cast(null as varchar) as change,
        cast(null as bigint) as previous_count, 'action' as kind, funnel as model, persona, cast(null as varchar) as remedy
    from insights._briefing_actions

    union all

    select
        200 as finding_index,
        case
            when kind is null then 'Nothing is known to be missing: no blind spot is critical or a warning.'
            else concat(
                'What cannot be seen: ',
                case critical_count when 0 then '' else concat(critical_count, ' critical') end,
                case when critical_count > 0 and warning_count > 0 then ' and ' else '' end,
                case warning_count when 0 then '' when 1 then '1 warning' else concat(warning_count, ' warnings') end,
                ' among the blind spots; first: ', rtrim(split_part(detail, '. ', 1), '.'), '.'
            )
        end as headline,
        'blind_spots' as table_name,
        case
            when kind is not null then concat(
                '{"kind":"', kind, '","subject":"', replace(replace(subject, '\', '\\'), '"', '\"'), '"}'
            )
        end as row_key,
        cast(null as varchar) as change, cast(null as bigint) as previous_count,
        'blind_spots' as kind, cast(null as varchar) as model, cast(null as varchar) as persona,
        cast(null as varchar) as remedy
    from spots_counted
)

select
    row_number() over (order by finding_index) as position,
    headline, table_name, row_key, change, previous_count, kind, model, persona, remedy
from lines_gathered
