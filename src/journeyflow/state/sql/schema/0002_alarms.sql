-- What a run had to say besides its figures, and the shares of what it brought, which later runs are compared with.
alter table ledger.runs add column alarm_count bigint;

create table ledger.alarms (
    run_id varchar not null,
    kind varchar not null,
    detail varchar not null
);

create table ledger.shares (
    run_id varchar not null,
    kind varchar not null,
    subject varchar not null,
    item_count bigint not null,
    whole_count bigint not null
);
