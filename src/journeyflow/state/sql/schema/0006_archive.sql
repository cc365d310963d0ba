-- Where the records of a file are archived, and how its bytes were read for that. `kept_sha256` stays for files that an
-- earlier version archived in their own format, until their records are.
alter table ledger.files add column archive_sha256 varchar;

alter table ledger.files add column reading_hash varchar;
