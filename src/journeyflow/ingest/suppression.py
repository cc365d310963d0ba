"""Suppression list: keyed hashes of erased persons, applied to every load."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from journeyflow.errors import InputError, JourneyflowError
from journeyflow.ingest.files import RawStore
from journeyflow.state.folder import derived_key, person_secret
from journeyflow.state.warehouse import packaged_sql
from journeyflow.utils.files import replaced_file

if TYPE_CHECKING:
    from journeyflow.config import Config
    from journeyflow.engines import DuckDBEngine
    from journeyflow.ingest.parser.records import RawRecords


SUPPRESSION_FILE = "suppressions.parquet"
"""In the raw store: the suppression list, for a rebuild without the warehouse."""
OLD_SUPPRESSION_FILE = "tombstones.parquet"
"""Its name in earlier versions: read where the new one is missing, removed when that is written."""
PIECE_CHARACTERS = 64_000
OVERLAP_CHARACTERS = 4_000
"""Longer texts are searched in pieces that overlap by more than the length of an id."""
BATCH_CHARACTERS = 1_000_000
"""Text that is searched at once: its words take a hundred times the memory."""
PREVIOUS_ID = "/previous_id"
"""JSON pointer to the earlier user_id that an alias event names."""
_SCHEMA = pa.schema([("id_hash", pa.string()), ("erased_at", pa.timestamp("us"))])


def register_suppression(
    warehouse: DuckDBEngine, config: Config, raw_store: RawStore, more: Iterable[str] = ()
) -> None:
    """Create `erased_ids` from the suppression lists of warehouse and raw store.

    `more` are hashes that neither list holds yet. The macros of `suppression.sql` are created too.
    """
    _read_suppressions(warehouse, raw_store)
    warehouse.scratch("erased_ids", _hashes(more).to_reader())
    warehouse.execute("insert into erased_ids select id_hash from ledger.suppressions")
    if warehouse.count("erased_ids"):
        set_suppression_keys(warehouse, config)


def set_suppression_keys(warehouse: DuckDBEngine, config: Config) -> None:
    """Set the keys of the hashes and create the macros that use them; `erased_ids` must exist."""
    secret = person_secret(config)
    for name in ("inner", "outer"):
        warehouse.execute(f"set variable erasure_{name} = '{derived_key(secret, f'erasure {name}')}'")
    warehouse.execute(packaged_sql("suppression"))


def add_suppressions(warehouse: DuckDBEngine, hashes: Iterable[str]) -> None:
    """Add hashes to the suppression list of the warehouse, each once."""
    warehouse.scratch("new_suppressions", _hashes(hashes).to_reader())
    warehouse.execute(
        "insert into ledger.suppressions select distinct id_hash, now()::timestamp from new_suppressions "
        "where id_hash not in (select id_hash from ledger.suppressions)"
    )


def write_suppressions(warehouse: DuckDBEngine, raw_store: RawStore) -> None:
    """Write the suppression list into the raw store, atomically; nothing where it is empty."""
    _read_suppressions(warehouse, raw_store)  # A new warehouse may not hold earlier entries yet.
    found = warehouse.rows("select id_hash, erased_at from ledger.suppressions order by id_hash")
    if not found.num_rows:
        return
    try:
        raw_store.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with replaced_file(raw_store.folder / SUPPRESSION_FILE) as file:
            pq.write_table(found.cast(_SCHEMA), file)
        (raw_store.folder / OLD_SUPPRESSION_FILE).unlink(missing_ok=True)
    except OSError as error:
        raise JourneyflowError(
            f"Cannot write {SUPPRESSION_FILE} in {raw_store.folder}: {error.strerror or type(error).__name__}. Make "
            "room."
        ) from error


def split_suppressed(warehouse: DuckDBEngine, raw: RawRecords) -> None:
    """Split off the records of erased persons.

    Creates `erased_records(record_ix, source_row, reject_ix)` and the view `retained_records`, which is
    `validated_records` without them, and deletes them from `raw_rejects`. A record belongs to an erased person when its
    user_id or anonymous_id, the previous id of an alias event or the login of a log line is erased, and, where the
    quarantine would store its whole text, when any part of the text is.
    """
    if not warehouse.count("erased_ids"):
        warehouse.execute("create or replace temp view retained_records as select * from validated_records")
        warehouse.execute(_NONE_ERASED)
        return
    find_texts_naming(warehouse, _BAD)
    warehouse.execute(_OF_KEYS)
    if raw.shape == "lines":
        warehouse.execute(_OF_LOGINS)
    _split_rejects(warehouse)
    warehouse.execute(_RETAINED)


def split_rejects(warehouse: DuckDBEngine) -> None:
    """Create `erased_records` of the rejects alone, where no mapping says whose the other records are."""
    warehouse.execute(_NONE_ERASED)
    _split_rejects(warehouse)


def _split_rejects(warehouse: DuckDBEngine) -> None:
    find_texts_naming(warehouse, "select rowid as row_id, raw as text from raw_rejects")
    for statement in (_OF_REJECTS, _WITHOUT_REJECTS):
        warehouse.execute(statement)


def find_texts_naming(warehouse: DuckDBEngine, texts: str) -> None:
    """Find texts that contain the id of an erased person: creates `naming_texts(row_id)`.

    `texts` is a SELECT of `row_id` and `text`: untrusted input of any length and number, so it is searched in batches.
    """
    warehouse.execute(f"create or replace temp table searched_texts as {texts}")
    warehouse.execute("create or replace temp table naming_texts as select 0::bigint as row_id where false")
    if warehouse.count("searched_texts"):
        warehouse.execute(_SPANS)
        last = warehouse.rows("select max(batch) as batch from searched_spans")["batch"][0].as_py()
        for batch in range(0 if last is None else last + 1):
            warehouse.execute(_NAMING, [batch])
    warehouse.execute("drop table searched_texts")


_STEP = PIECE_CHARACTERS - OVERLAP_CHARACTERS
_SPANS = f"""
create or replace temp table searched_spans as
with spans as (
    select
        row_id,
        unnest(range(0, greatest(length(text) - {OVERLAP_CHARACTERS}, 1), {_STEP})) as start,
        least(length(text), {PIECE_CHARACTERS}) as size
    from searched_texts
)
select
    row_id, start,
    cast(sum(size) over (order by row_id, start rows unbounded preceding) // {BATCH_CHARACTERS} as bigint) as batch
from spans
"""
_NAMING = f"""
insert into naming_texts
with words as (
    select
        spans.row_id,
        unnest(words_of(case when length(texts.text) <= {PIECE_CHARACTERS} then texts.text
            else substring(texts.text, spans.start + 1, {PIECE_CHARACTERS}) end)) as word
    from searched_spans as spans
    inner join searched_texts as texts on texts.row_id = spans.row_id
    where spans.batch = ?
)
select distinct row_id from words where is_erased_user(word) or is_erased_device(word)
"""
_NONE_ERASED = """
create or replace temp table erased_records as
select 0::bigint as record_ix, 0::bigint as source_row, 0::bigint as reject_ix where false
"""
# The quarantine stores the whole text of a bad record, so all of it is searched.
_BAD = """
select records.record_ix as row_id, coalesce(records.quarantine_raw, raw_texts.raw) as text
from validated_records as records
left join raw_texts on raw_texts.record_ix = records.record_ix
where records.is_kept and records.reason is not null
"""
_OF_KEYS = f"""
create or replace temp table erased_records as
select record_ix, source_row, null::bigint as reject_ix
from validated_records
where is_erased_user(user_id) or is_erased_device(anonymous_id)
    or (event_name = 'alias' and is_erased_user(json_extract_string(properties, '{PREVIOUS_ID}')))
    or record_ix in (select row_id from naming_texts)
"""
# No column of an event holds the login of a log line, but the archived file does.
_OF_LOGINS = """
insert into erased_records
select record_ix, source_row, null from raw_records
where is_erased_user(split_part(line, ' ', 3)) and record_ix not in (select record_ix from erased_records)
"""
_OF_REJECTS = """
insert into erased_records
select null, source_row, reject_ix from raw_rejects where rowid in (select row_id from naming_texts)
"""
_WITHOUT_REJECTS = "delete from raw_rejects where rowid in (select row_id from naming_texts)"
_RETAINED = """
create or replace temp view retained_records as
select * from validated_records
where record_ix not in (select record_ix from erased_records where record_ix is not null)
"""


def _read_suppressions(warehouse: DuckDBEngine, raw_store: RawStore) -> None:
    paths = (raw_store.folder / name for name in (SUPPRESSION_FILE, OLD_SUPPRESSION_FILE))
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        return
    try:
        listed = pq.read_table(path).cast(_SCHEMA)
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        raise InputError(
            f"{path}, the list of people who were erased, cannot be read; put a copy of it back. Without it they would "
            "be loaded again."
        ) from error
    warehouse.scratch("listed_suppressions", listed.to_reader())
    warehouse.execute(
        "insert into ledger.suppressions select id_hash, erased_at from listed_suppressions "
        "where id_hash not in (select id_hash from ledger.suppressions)"
    )


def _hashes(found: Iterable[str]) -> pa.Table:
    return pa.table({"id_hash": pa.array(sorted(set(found)), pa.string())})
