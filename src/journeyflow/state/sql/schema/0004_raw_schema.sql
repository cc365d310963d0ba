-- Accepted events, traits and quarantined records stand in the schema `raw`; erased ids are the suppression list, and what a
-- run warns of are alerts. DuckDB moves no table to another schema: rows are copied, and compaction frees the room.
create schema raw;

create table raw.events (
    event_ix bigint not null,
    event_key uhugeint not null,
    event_id varchar not null,
    source varchar not null,
    occurred_at timestamp not null,
    received_at timestamp,
    device_key ubigint,
    user_key ubigint,
    anonymous_id varchar,
    user_id varchar,
    session_id varchar,
    sequence bigint,
    event_name varchar not null,
    channel varchar not null,
    utm_source varchar,
    utm_medium varchar,
    utm_campaign varchar,
    utm_term varchar,
    utm_content varchar,
    referrer_host varchar,
    page_path varchar,
    target varchar,
    user_agent varchar,
    revenue_amount decimal(18, 4),
    currency varchar,
    properties json,
    file_ix integer not null,
    source_row bigint not null
);

create table raw.traits (
    user_key ubigint not null,
    user_id varchar not null,
    trait varchar not null,
    trait_value varchar,
    valid_from timestamp
);

create table raw.quarantine (
    file_ix integer not null,
    source_file varchar not null,
    source_row bigint not null,
    reason varchar not null,
    detail varchar,
    raw varchar
);

insert into raw.events by name select * from landed.events;
insert into raw.traits by name select * from landed.traits;
insert into raw.quarantine by name select * from landed.quarantine;

drop schema landed cascade;

alter table ledger.files rename column is_landed to is_loaded;

alter table ledger.alarms rename to alerts;

alter table ledger.tombstones rename to suppressions;

drop view if exists ledger.news;
