-- What the tables cannot see: read this before any other figure.
-- Grain: kind, subject.
with spots_gathered as (
    select kind, subject, severity, item_count, share_rate, detail from insights._blind_spots_events as event_spots
    union all
    select kind, subject, severity, item_count, share_rate, detail from insights._blind_spots_rules as rule_spots
    union all
    select kind, subject, severity, item_count, share_rate, detail from insights._blind_spots_stages as stage_spots
    union all
    select kind, subject, severity, item_count, share_rate, detail from insights._blind_spots_unstaged as unstaged_spots
    union all
    select kind, subject, severity, item_count, share_rate, detail from insights._blind_spots_ties as tie_spots
    union all
    select kind, subject, severity, item_count, share_rate, detail from insights._blind_spots_identity as identity_spots
    union all
    select kind, subject, severity, item_count, share_rate, detail from insights._blind_spots_ids as id_spots
    union all
    select kind, subject, severity, item_count, share_rate, detail from insights._blind_spots_referrals as referral_spots
    union all
    select kind, subject, severity, item_count, share_rate, detail from insights._blind_spots_traffic as traffic_spots
    union all
    select kind, subject, severity, item_count, share_rate, detail from insights._blind_spots_records as record_spots
    union all
    select kind, subject, severity, item_count, share_rate, detail from insights._blind_spots_run as run_spots
    union all
    select kind, subject, severity, item_count, share_rate, detail from insights._blind_spots_settings as setting_spots
    union all
    select kind, subject, severity, item_count, share_rate, detail from insights._blind_spots_maturity as maturity_spots
),

-- Names are untrusted texts of any length, and two may read alike once they are cut or put together.
spots_merged as (
    select
        kind,
        substr(subject, 1, 200) as subject,
        min(case severity when 'critical' then 1 when 'warning' then 2 else 3 end) as severity_index,
        cast(sum(item_count) as bigint) as item_count,
        max(share_rate) as share_rate,
        min(detail) as detail
    from spots_gathered
    group by kind, substr(subject, 1, 200)
),

spots_ranked as (
    select
        kind, subject, severity_index, item_count, share_rate, detail,
        row_number() over (
            partition by kind order by severity_index, item_count desc, subject
            rows between unbounded preceding and current row
        ) as spot_rank
    from spots_merged
),

-- Names are unlimited: beyond the worst of each kind there is one row for the rest.
spots_capped as (
    select kind, subject, severity_index, item_count, share_rate, detail
    from spots_ranked
    where spot_rank <= 30 and subject <> 'other'

    union all

    select
        kind,
        'other' as subject,
        min(severity_index) as severity_index,
        cast(sum(item_count) as bigint) as item_count,
        cast(null as double) as share_rate,
        case
            when count(*) = 1 then min(detail)
            else concat(count(*), ' more of this kind, none worse than those that are told by name.')
        end as detail
    from spots_ranked
    where spot_rank > 30 or subject = 'other'
    group by kind
)

select
    kind,
    subject,
    case severity_index when 1 then 'critical' when 2 then 'warning' else 'note' end as severity,
    item_count,
    share_rate,
    -- A sentence stays one that can be read, whatever name stands in it.
    case when length(detail) > 1000 then concat(substr(detail, 1, 1000), '…') else detail end as detail
from spots_capped
