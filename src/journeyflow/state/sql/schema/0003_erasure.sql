-- People who were erased: the hash of what is kept in a file's place since, blank where nothing of it is left that could be
-- read; and keyed hashes of their ids, so that what comes of them later is not stored.
alter table ledger.files add column kept_sha256 varchar;

create table ledger.tombstones (
    id_hash varchar not null,
    erased_at timestamp not null
);
