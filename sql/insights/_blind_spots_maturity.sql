-- Periods in which nothing can have matured yet: their rates are empty, which is not the same as nobody going on.
-- Grain: none; blind_spots adds up rows of one kind and subject.
with attempts_counted as (
    select
        funnel_index,
        coalesce(period, 'all') as period,
        count(*) as entered_count,
        count(*) filter (where is_matured) as matured_count,
        min(entered_at) as first_entered_at
    from funnels.funnel_attempts
    group by grouping sets ((funnel_index, period), (funnel_index))
),

funnels_open as (
    select
        funnels.funnel,
        funnels.funnel_index,
        funnels.window_us,
        attempts_counted.period,
        attempts_counted.entered_count,
        attempts_counted.first_entered_at
    from attempts_counted
    inner join config.funnels on funnels.funnel_index = attempts_counted.funnel_index
    where attempts_counted.matured_count = 0
),

-- Funnels of one window and period read alike: one row for them.
periods_open as (
    select
        period,
        window_us,
        string_agg(funnel, ', ' order by funnel_index) as funnels,
        max(entered_count) as entered_count,
        min(first_entered_at) as first_entered_at
    from funnels_open
    group by period, window_us
),

windows_written as (
    select
        periods_open.period,
        periods_open.funnels,
        periods_open.entered_count,
        days.day as first_day,
        case
            when window_us < 172800000000 then concat(replace(cast(round(window_us / 3600000000.0, 1) as varchar), '.0', ''), ' h')
            else concat(replace(cast(round(window_us / 86400000000.0, 1) as varchar), '.0', ''), ' days')
        end as window_length
    from periods_open
    inner join config.days
        on periods_open.first_entered_at >= days.start_at
        and periods_open.first_entered_at < days.end_at
)

select
    'nothing_matured' as kind,
    concat(period, ': ', window_length) as subject,
    'warning' as severity,
    entered_count as item_count,
    cast(1 as double) as share_rate,
    concat(
        case when period = 'all' then 'Over the whole time' else concat('In ', period) end,
        ' nothing can have matured yet: every window that opened is still open. The first of them opened on ', first_day, ' for ',
        window_length, ', and the data end on ', last_days.day,
        '. Read the counts and not the rates, which are empty, until a run with later data: ', funnels, '.'
    ) as detail
from windows_written
cross join (select max(day) as day from config.days) as last_days
