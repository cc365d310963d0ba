-- Records that were kept aside, files and texts that could not be read, and money without a rate.
-- Grain: none; blind_spots adds up rows of one kind and subject.
with settings as (
    select run_id, report_currency
    from config.settings
),

amounts_gathered as (
    select currency, event_count as amount_count
    from journeys.event_arrival_counts
    where currency is not null

    union all

    select currency, 1 as amount_count
    from sources.spend
    where currency is not null
),

amounts_summed as (
    select currency, cast(sum(amount_count) as bigint) as amount_count
    from amounts_gathered
    group by currency
),

reasons_summed as (
    select
        reasons.source,
        cast(sum(reasons.reason_count) as bigint) as quarantined_count,
        max(reasons.loaded_count) as loaded_count,
        string_agg(concat(reasons.reason, ' ', reasons.reason_count), ', ' order by reasons.reason_count desc, reasons.reason) as reasons_listed
    from ledger.reasons
    inner join config.sources on sources.source = reasons.source
    group by reasons.source
),

refused_counted as (
    select loads.source, count(*) as refused_count
    from ledger.loads
    inner join settings on settings.run_id = loads.run_id
    where loads.status = 'refused'
    group by loads.source
)

select
    'quarantined' as kind,
    source as subject,
    case
        when quarantined_count >= 0.05 * loaded_count then 'critical'
        when quarantined_count >= 0.01 * loaded_count then 'warning'
        else 'note'
    end as severity,
    quarantined_count as item_count,
    cast(quarantined_count as double) / loaded_count as share_rate,
    concat(
        quarantined_count, ' of ', loaded_count, ' records of source ', source, ' are in quarantine and in no figure: ', reasons_listed,
        '. The warehouse keeps them whole in `raw.quarantine`.'
    ) as detail
from reasons_summed

union all

select
    'quarantined' as kind,
    concat(source, ': refused files') as subject,
    'critical' as severity,
    refused_count as item_count,
    cast(null as double) as share_rate,
    concat(
        refused_count, ' files of source ', source, ' could not be read, so that their events are in no figure. The table load_audit names them.'
    ) as detail
from refused_counted

union all

select
    'missing_rate' as kind,
    amounts_summed.currency as subject,
    'critical' as severity,
    amounts_summed.amount_count as item_count,
    cast(amounts_summed.amount_count as double) / (select sum(amount_count) from amounts_summed) as share_rate,
    concat(
        amounts_summed.amount_count, ' events or lines of spend have an amount in ', amounts_summed.currency, ', for which `currency.rates` has no rate into ',
        settings.report_currency, ': sums that they belong to are left empty.'
    ) as detail
from amounts_summed
cross join settings
left join config.rates on rates.currency = amounts_summed.currency
where rates.currency is null

union all

select
    'unreadable_text' as kind,
    survey as subject,
    case when read_count <= 0.5 * text_count then 'warning' else 'note' end as severity,
    text_count - read_count as item_count,
    cast(text_count - read_count as double) / text_count as share_rate,
    concat(
        text_count - read_count, ' of ', text_count, ' texts of survey ', survey,
        ' are not in English or too short to tell, and were not read: what they say is in no sentiment.'
    ) as detail
from statistics.survey_texts
where read_count < text_count
