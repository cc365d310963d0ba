-- Which content a remote file had when it was last downloaded: of one whose store says the same again nothing is downloaded.
create table ledger.remote_files (
    source varchar not null,
    source_file varchar not null,
    sha256 varchar not null,
    byte_count bigint,
    etag varchar,
    modified_at timestamp
);
