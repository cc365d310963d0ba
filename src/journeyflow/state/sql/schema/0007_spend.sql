-- Advertising spend, read again at every run.
create table raw.spend (
    spend_date date not null,
    channel varchar not null,
    amount decimal(18, 4) not null,
    currency varchar
);
