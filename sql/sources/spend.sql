-- Advertising spend from the file of `spend:`, as loaded by this run.
-- Grain: no key; a channel may have several rows a day.
select
    spend_date,
    channel,
    amount,
    currency,
from raw.spend
