-- The newest dated action of which something is known.
-- Grain: funnel.
select
    funnel,
    case dimension when 'persona' then slice else 'all' end as persona,
    headline,
    concat('{"action":"', replace(replace(action, '\', '\\'), '"', '\"'), '"}') as row_key
from marts.action_effects
where effect is not null
qualify row_number() over (order by first_day desc, action) = 1
