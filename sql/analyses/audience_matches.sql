-- The persons of every audience, before it is asked who may be written to.
-- Grain: audience_index, person_key.
with settings as (
    select high_water_at
    from config.settings
),

persons_found as (
    select
        audiences.audience_index,
        units.person_key,
        units.closes_at
    from config.audiences as audiences
    inner join kernel.funnel_units as units
        on units.funnel_index = audiences.funnel_index
        and (audiences.step_index is null or units.depth = audiences.step_index)
    where audiences.kind = 'stage'
        or (audiences.kind = 'pending' and units.is_pending)
        or (audiences.kind = 'dropped_at' and not units.is_pending)

    union all

    select
        audiences.audience_index,
        outcomes.person_key,
        -- In two parts, because an interval is multiplied by numbers of 32 bits only.
        outcomes.due_at
        + cast(floor(promises.within_us / 1000000) as integer) * interval '1 second'
        + cast(promises.within_us % 1000000 as integer) * interval '1 microsecond' as closes_at
    from config.audiences as audiences
    inner join config.promises as promises on promises.promise_index = audiences.promise_index
    inner join map.promise_outcomes as outcomes
        on outcomes.promise_index = audiences.promise_index
        and outcomes.outcome = 'pending'

    union all

    select
        audiences.audience_index,
        latest.person_key,
        cast(null as timestamp) as closes_at
    from config.audiences as audiences
    inner join journeys.latest_journeys as latest
        on latest.persona = audiences.persona
        or (audiences.kind = 'lifecycle' and latest.lifecycle = audiences.lifecycle)
),

persons_matched as (
    select audience_index, person_key, min(closes_at) as closes_at
    from persons_found
    group by audience_index, person_key
)

select
    matched.audience_index,
    matched.person_key,
    (audiences.lifecycle is null or coalesce(audiences.lifecycle = latest.lifecycle, false))
    and (
        audiences.within_us is null
        or coalesce(
            matched.closes_at <= settings.high_water_at
            + cast(floor(audiences.within_us / 1000000) as integer) * interval '1 second'
            + cast(audiences.within_us % 1000000 as integer) * interval '1 microsecond',
            false
        )
    ) as is_inside
from persons_matched as matched
inner join config.audiences as audiences on audiences.audience_index = matched.audience_index
left join journeys.latest_journeys as latest on latest.person_key = matched.person_key
cross join settings
