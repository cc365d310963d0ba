-- What people say of a stage, as they wrote it into the configuration.
-- Grain: model, persona, stage, aspect.
with stages as (
    select model, stage, owner
    from config.stages
)

select
    model,
    'all' as persona,
    stage,
    'owner' as aspect,
    owner as text
from stages
where owner is not null

union all

-- A cell holds for every model that has a stage of its name.
select
    stages.model,
    cells.persona,
    cells.stage,
    cells.aspect,
    cells.text
from config.map_cells as cells
inner join stages on stages.stage = cells.stage
