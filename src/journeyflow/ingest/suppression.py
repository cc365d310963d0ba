"""Suppression list: keyed hashes of erased persons, applied to every load."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from journeyflow.errors import InputError, JourneyflowError
from journeyflow.ingest.raw_store import RawStore
from journeyflow.state.secret_key import derived_key, person_secret
from journeyflow.state.warehouse import packaged_sql
from journeyflow.utils.files import sync

if TYPE_CHECKING:
    from journeyflow.config import Config
    from journeyflow.engines import DuckDBEngine
    from journeyflow.ingest.readers.records import RawRecords


SUPPRESSION_FILE = "tombstones.parquet"
"""Beside the kept files: the same hashes, for a warehouse that is gone."""
PIECE_CHARACTERS = 64_000
OVERLAP_CHARACTERS = 4_000
"""Longer texts are asked in pieces that overlap: an id is shorter."""
BATCH_CHARACTERS = 1_000_000
"""So much text is asked at once: the words of it take a hundred times its room."""
PREVIOUS_ID = "/previous_id"
"""JSON pointer to the earlier user_id that an alias event names."""
_SCHEMA = pa.schema([("id_hash", pa.string()), ("erased_at", pa.timestamp("us"))])


def register_suppression(
    warehouse: DuckDBEngine, config: Config, raw_store: RawStore, more: Iterable[str] = ()
) -> bool:
    """Let a connection know who was erased, by the warehouse and by the list beside the kept files.

    Parameters
    ----------
    warehouse : DuckDBEngine
        Gets the temporary table `erased_ids`, and the macros of `sql/tombstones.sql`.
    config : Config
        Its secret is what the hashes are keyed with.
    kept : Kept
        The folder beside which the list lies.
    more : iterable of str
        Hashes that are neither in the warehouse nor in the list yet.

    Returns
    -------
    bool
        Whether anybody was erased.
    """
    _recall(warehouse, raw_store)
    warehouse.scratch("erased_ids", _hashes(more).to_reader())
    warehouse.execute("insert into erased_ids select id_hash from ledger.suppressions")
    if not warehouse.count("erased_ids"):
        return False
    set_suppression_keys(warehouse, config)
    return True


def set_suppression_keys(warehouse: DuckDBEngine, config: Config) -> None:
    """Give a connection the keys of the hashes and the macros that use them; `erased_ids` must be there."""
    secret = person_secret(config)
    for name in ("inner", "outer"):
        warehouse.execute(f"set variable erasure_{name} = '{derived_key(secret, f'erasure {name}')}'")
    warehouse.execute(packaged_sql("suppression"))


def add_suppressions(warehouse: DuckDBEngine, hashes: Iterable[str]) -> None:
    """Write tombstones into the warehouse, each once."""
    warehouse.scratch("new_tombstones", _hashes(hashes).to_reader())
    warehouse.execute(
        "insert into ledger.suppressions select distinct id_hash, now()::timestamp from new_tombstones "
        "where id_hash not in (select id_hash from ledger.suppressions)"
    )


def write_suppressions(warehouse: DuckDBEngine, raw_store: RawStore) -> None:
    """Write the tombstones down beside the kept files, wholly or not at all; nothing where there are none.

    Raises
    ------
    JourneyflowError
        When they cannot be written.
    """
    found = warehouse.rows("select id_hash, erased_at from ledger.suppressions order by id_hash")
    final = raw_store.folder / SUPPRESSION_FILE
    if not found.num_rows:
        return
    try:
        raw_store.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = final.with_name(f"{SUPPRESSION_FILE}.unfinished")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            pq.write_table(found.cast(_SCHEMA), file)
        sync(fresh)
        fresh.replace(final)
        sync(final.parent)
    except OSError as error:
        raise JourneyflowError(
            f"Cannot write {SUPPRESSION_FILE} in {raw_store.folder}: {error.strerror or type(error).__name__}. Make room."
        ) from error


def split_suppressed(warehouse: DuckDBEngine, raw: RawRecords) -> int:
    """Tell the records of a file that are of erased people from the others.

    Leaves `erased_records(record_ix, source_row, detail)` and the view `retained_records`, which is `validated_records`
    without them; takes them out of `raw_rejects`. A record is of an erased person when its user_id or anonymous_id is
    one's, when it is an alias event that names one, when it is a log line with one's login, and, where it would be kept
    whole in quarantine, when any part of its text is one's id.

    Returns
    -------
    int
        How many readable records are set apart.
    """
    if not warehouse.count("erased_ids"):
        warehouse.execute("create or replace temp view retained_records as select * from validated_records")
        warehouse.execute(_NOBODY)
        return 0
    find_rejects_naming(warehouse, _BAD)
    warehouse.execute(_OF_KEYS)
    if raw.shape == "lines":
        warehouse.execute(_OF_LOGINS)
    count = warehouse.count("erased_records")
    find_rejects_naming(warehouse, "select rowid as row_id, raw as text from raw_rejects")
    for statement in (_OF_REJECTS, _WITHOUT_REJECTS):
        warehouse.execute(statement)
    warehouse.execute(_SURVIVING)
    return count


def find_rejects_naming(warehouse: DuckDBEngine, texts: str) -> None:
    """Find the texts any part of which is the id of somebody who was erased: leaves `naming_texts(row_id)`.

    Parameters
    ----------
    warehouse : DuckDBEngine
        Armed.
    texts : str
        SELECT of `row_id` and `text`. Strangers write them: however long and many they are, a few are asked at a time.
    """
    warehouse.execute(f"create or replace temp table asked_texts as {texts}")
    warehouse.execute("create or replace temp table naming_texts as select 0::bigint as row_id where false")
    if warehouse.count("asked_texts"):
        warehouse.execute(_SPANS)
        last = warehouse.rows("select max(batch) as batch from asked_spans")["batch"][0].as_py()
        for batch in range(0 if last is None else last + 1):
            warehouse.execute(_NAMING, [batch])
    warehouse.execute("drop table asked_texts")


_STEP = PIECE_CHARACTERS - OVERLAP_CHARACTERS
_SPANS = f"""
create or replace temp table asked_spans as
with spans as (
    select
        row_id,
        unnest(range(0, greatest(length(text) - {OVERLAP_CHARACTERS}, 1), {_STEP})) as start,
        least(length(text), {PIECE_CHARACTERS}) as size
    from asked_texts
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
    from asked_spans as spans
    inner join asked_texts as texts on texts.row_id = spans.row_id
    where spans.batch = ?
)
select distinct row_id from words where is_erased_user(word) or is_erased_device(word)
"""
_NOBODY = """
create or replace temp table erased_records as
select 0::bigint as record_ix, 0::bigint as source_row, ''::varchar as detail where false
"""
# A bad record is kept whole, so the whole of it is asked.
_BAD = """
select judged.record_ix as row_id, coalesce(judged.quarantine_raw, shown.raw) as text
from validated_records as judged
left join raw_texts as shown on shown.record_ix = judged.record_ix
where judged.is_kept and judged.reason is not null
"""
_OF_KEYS = f"""
create or replace temp table erased_records as
select record_ix, source_row, ''::varchar as detail
from validated_records
where is_erased_user(user_id) or is_erased_device(anonymous_id)
    or (event_name = 'alias' and is_erased_user(json_extract_string(properties, '{PREVIOUS_ID}')))
    or record_ix in (select row_id from naming_texts)
"""
# No column of an event holds the login of a log line, but its kept copy does.
_OF_LOGINS = """
insert into erased_records
select record_ix, source_row, '' from raw_records
where is_erased_user(split_part(line, ' ', 3)) and record_ix not in (select record_ix from erased_records)
"""
# Where an element of a list names somebody, all elements that are no objects go: so they do of the kept copy.
_OF_REJECTS = """
insert into erased_records
select null, source_row, coalesce(detail, '')
from raw_rejects
where (source_row, coalesce(detail, '')) in (
    select (source_row, coalesce(detail, '')) from raw_rejects where rowid in (select row_id from naming_texts)
)
"""
_WITHOUT_REJECTS = """
delete from raw_rejects
where (source_row, coalesce(detail, '')) in (select (source_row, detail) from erased_records where record_ix is null)
"""
_SURVIVING = """
create or replace temp view retained_records as
select * from validated_records where record_ix not in (select record_ix from erased_records where record_ix is not null)
"""


def _recall(warehouse: DuckDBEngine, raw_store: RawStore) -> None:
    path = raw_store.folder / SUPPRESSION_FILE
    if not path.is_file():
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
