-- What the briefing leads with: at most five distinct opportunities, and the greatest losses without a cause.
-- Grain: finding_index.
with opportunities as (
    select
        found.model, found.persona, found.opportunity_rank, found.stage, found.kind, found.subject, found.slice,
        found.lost_count, found.headline, found.remedy,
        case found.persona when 'all' then 0 else 1 end as persona_order
    from insights.opportunities as found
    inner join config.models as models
        on models.model = found.model
        and models.model_index = 1
    where found.period = 'all' and found.grade <> 'association'
        -- What is known to have cost nothing is no news.
        and (coalesce(found.lost_count, 1) > 0 or found.worth_amount > 0 or found.sentiment_effect < 0)
),

-- What the persons of one persona alone meet follows what all persons meet.
causes_named as (
    select
        model, persona, persona_order, opportunity_rank, stage, kind, subject, slice, lost_count, headline, remedy,
        row_number() over (
            partition by kind, subject, coalesce(slice, '') order by persona_order, opportunity_rank, model, persona
        ) as same_rank
    from opportunities
),

causes_ranked as (
    select
        model, persona, opportunity_rank, stage, kind, subject, slice, lost_count, headline, remedy,
        row_number() over (order by persona_order, opportunity_rank, model, persona) as cause_rank
    from causes_named
    where same_rank = 1
),

-- The greatest loss of the stages keeps a place: that nothing explains it is a finding too.
places as (
    select 5 - count(*) filter (where funnel_kind = 'stages') as cause_count
    from insights._briefing_losses
),

findings_gathered as (
    select
        'opportunities' as table_name,
        causes.kind,
        causes.model,
        causes.persona,
        causes.stage,
        causes.subject,
        causes.slice,
        causes.opportunity_rank as finding_rank,
        causes.lost_count as figure_count,
        case
            when causes.persona <> 'all' and not contains(causes.headline, causes.persona)
                then concat('Persona ', causes.persona, ': ', causes.headline)
            else causes.headline
        end as headline,
        causes.remedy,
        1 as part_index,
        causes.cause_rank as part_rank
    from causes_ranked as causes
    cross join places
    where causes.cause_rank <= places.cause_count

    union all

    select
        'funnel_steps' as table_name,
        'loss' as kind,
        funnel as model,
        'all' as persona,
        step as stage,
        cast(null as varchar) as subject,
        cast(null as varchar) as slice,
        cast(step_index as bigint) as finding_rank,
        drop_off_count as figure_count,
        headline,
        remedy,
        case funnel_kind when 'stages' then 2 else 3 end as part_index,
        funnel_index as part_rank
    from insights._briefing_losses as losses
),

findings_numbered as (
    select
        table_name, kind, model, persona, stage, subject, slice, finding_rank, figure_count, headline, remedy,
        row_number() over (order by part_index, part_rank, model, stage) as finding_index
    from findings_gathered
)

select finding_index, table_name, kind, model, persona, stage, subject, slice, finding_rank, figure_count, headline, remedy
from findings_numbered
where finding_index <= 5
