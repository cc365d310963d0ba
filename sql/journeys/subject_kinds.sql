-- Which event kinds touch which subject.
-- Grain: subject_ix, kind_ix.
with subjects as (
    select subject_ix, subject_kind, subject
    from journeys.touch_subjects
),

event_kinds as (
    select kind_ix, event_name, channel, touchpoint
    from journeys.event_kinds
),

kind_truths as (
    select kind_ix, predicate
    from config.kind_truths
    where is_true and predicate like 'friction/%'
),

names_listed as (
    select kind_ix, 'touchpoint' as subject_kind, touchpoint as subject
    from event_kinds

    union all

    select kind_ix, 'channel' as subject_kind, channel as subject
    from event_kinds

    union all

    -- Only some event names are subjects; the join below keeps those.
    select kind_ix, 'signal' as subject_kind, event_name as subject
    from event_kinds

    union

    select kind_ix, 'friction' as subject_kind, substr(predicate, 10) as subject
    from kind_truths
)

select subjects.subject_ix, names_listed.kind_ix
from names_listed
inner join subjects
    on subjects.subject_kind = names_listed.subject_kind
    and subjects.subject = names_listed.subject
