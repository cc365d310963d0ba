-- The configured audiences: the persons each is of, how many are on its list and why the others are not.
-- Grain: audience.
with members_counted as (
    select
        members.audience_index,
        count(*) as matched_count,
        count(*) filter (where members.outcome = 'outside') as outside_count,
        count(*) filter (where members.outcome = 'without_id') as without_id_count,
        count(*) filter (where members.outcome = 'without_consent') as without_consent_count,
        count(*) filter (where members.outcome = 'listed') as listed_count
    from analyses.audience_members as members
    group by members.audience_index
),

before_counted as (
    select
        audiences.audience_index,
        count(*) as previous_count,
        count(*) filter (where before.user_id is null) as erased_count,
        count(*) filter (where before.user_id is not null and members.user_id is null) as removed_count
    from insights._audiences_before as before
    inner join config.audiences as audiences on audiences.audience = before.audience
    left join analyses.audience_members as members
        on members.audience_index = audiences.audience_index
        and members.user_id = before.user_id
        and members.outcome = 'listed'
    group by audiences.audience_index
),

added_counted as (
    select members.audience_index, count(*) as added_count
    from analyses.audience_members as members
    inner join config.audiences as audiences on audiences.audience_index = members.audience_index
    left join insights._audiences_before as before
        on before.audience = audiences.audience
        and before.user_id = members.user_id
    where members.outcome = 'listed' and before.user_id is null
    group by members.audience_index
)

select
    audiences.audience,
    audiences.kind,
    audiences.subject,
    audiences.step,
    audiences.lifecycle,
    coalesce(members_counted.matched_count, 0) as matched_count,
    coalesce(members_counted.outside_count, 0) as outside_count,
    coalesce(members_counted.without_id_count, 0) as without_id_count,
    coalesce(members_counted.without_consent_count, 0) as without_consent_count,
    coalesce(members_counted.listed_count, 0) as listed_count,
    coalesce(before_counted.previous_count, 0) as previous_count,
    coalesce(added_counted.added_count, 0) as added_count,
    coalesce(before_counted.removed_count, 0) as removed_count,
    coalesce(before_counted.erased_count, 0) as erased_count,
    audiences.remedy
from config.audiences as audiences
left join members_counted on members_counted.audience_index = audiences.audience_index
left join before_counted on before_counted.audience_index = audiences.audience_index
left join added_counted on added_counted.audience_index = audiences.audience_index
