-- The tables that outlive a run. `landed` holds what was read, `ledger` what was done.
-- The first schema had no number until its tables stood, so a file that has them without one is of it too.
create schema if not exists landed;
create schema if not exists ledger;

create table if not exists ledger.schema_version (version integer not null);

create table if not exists landed.events (
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

create table if not exists landed.traits (
    user_key ubigint not null,
    user_id varchar not null,
    trait varchar not null,
    trait_value varchar,
    valid_from timestamp
);

create table if not exists landed.quarantine (
    file_ix integer not null,
    source_file varchar not null,
    source_row bigint not null,
    reason varchar not null,
    detail varchar,
    raw varchar
);

-- One row per file content and source that was ever loaded.
create table if not exists ledger.files (
    file_ix integer not null,
    source varchar not null,
    source_file varchar not null,
    sha256 varchar not null,
    byte_count bigint not null,
    first_loaded_at timestamp not null,
    record_count bigint not null,
    settings_hash varchar not null,
    is_landed boolean not null
);

-- One row per run and file that it read or refused.
create table if not exists ledger.loads (
    run_id varchar not null,
    source varchar not null,
    source_file varchar not null,
    record_count bigint not null,
    accepted_count bigint not null,
    quarantined_count bigint not null,
    duplicate_count bigint not null,
    conflicting_count bigint not null,
    filtered_count bigint not null,
    erased_count bigint not null,
    sha256 varchar,
    status varchar not null,
    detail varchar
);

create table if not exists ledger.runs (
    run_id varchar not null,
    started_at timestamp,
    finished_at timestamp,
    status varchar,
    high_water_at timestamp,
    config_hash varchar,
    version varchar,
    event_count bigint,
    elapsed_seconds double
);
