"""Apply the pending erasure to the warehouse, the archived files and the publication; idempotent."""

from __future__ import annotations

import shutil
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from journeyflow.erasure.journal import PendingErasure, end_erasure, pending_erasure
from journeyflow.errors import InputError
from journeyflow.ingest.file_registry import FileRegistry, RegisteredFile
from journeyflow.ingest.files import RefusedFileError
from journeyflow.ingest.parser.copy import InputParser, open_input_parser
from journeyflow.ingest.raw_store import SNAPSHOT, RawStore, read_snapshot, write_snapshot
from journeyflow.ingest.rewrite import WHOLE_ROWS, count_erased, keeps_line_numbers, rewrite
from journeyflow.ingest.suppression import add_suppressions, find_texts_naming, register_suppression, write_suppressions
from journeyflow.publish.generation import own_generations, remove_unfinished
from journeyflow.state.paths import BUILD, SELECTED, WAREHOUSE
from journeyflow.state.secret_key import person_secret, set_hash_keys
from journeyflow.state.warehouse import open_warehouse, rewrite_warehouse, transaction
from journeyflow.utils.files import sync

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from journeyflow.config import Config
    from journeyflow.engines import DuckDBEngine


_ERASED_EVENTS = """
create or replace temp table erased_events as
select event_ix, file_ix from raw.events
where is_erased_user(user_id) or is_erased_device(anonymous_id)
    or (event_name = 'alias' and is_erased_user(json_extract_string(properties, '/previous_id')))
"""
# Of a list, all elements that are no objects are removed, as from the archived file: they share row and detail.
_ERASED_ROWS = """
create or replace temp table erased_quarantine as
select row_id from naming_texts
union
select others.rowid from raw.quarantine as others
inner join raw.quarantine as theirs
    on theirs.file_ix = others.file_ix and theirs.source_row = others.source_row and theirs.detail = others.detail
where theirs.rowid in (select row_id from naming_texts) and theirs.file_ix > 0
"""
_EVENTS_OF_LINES = """
create or replace temp table erased_events as
select events.event_ix, events.file_ix
from raw.events as events
inner join ledger.files as files on files.file_ix = events.file_ix
where files.source = ? and files.sha256 = ? and events.source_row in (select source_row from erased_records)
"""
# Rows that are removed whole from a file are removed from the quarantine too, whatever their text shows.
_ROWS_OF_FILE = f"""
create or replace temp table erased_quarantine as
select quarantine.rowid as row_id
from raw.quarantine as quarantine
inner join ledger.files as files on files.file_ix = quarantine.file_ix
where files.source = ? and files.sha256 = ? and quarantine.source_row in ({WHOLE_ROWS})
"""
_NOTHING = {
    "events": "create or replace temp table erased_events as select 0::bigint as event_ix, 0 as file_ix where false",
    "rows": "create or replace temp table erased_quarantine as select 0::bigint as row_id where false",
}
# Erased records move from the accepted or quarantined counts of their file's last load. An event that replaced the copy
# of another file was counted as a duplicate.
_ERASED_COUNTS = """
create or replace temp table erased_counts as
with counted as (
    select file_ix, count(*) as event_count, 0 as row_count from erased_events group by file_ix
    union all
    select file_ix, 0, count(*) from raw.quarantine
    where rowid in (select row_id from erased_quarantine) group by file_ix
),
summed as (
    select file_ix, sum(event_count)::bigint as event_count, sum(row_count)::bigint as row_count
    from counted group by file_ix
),
latest as (
    select loads.source, loads.sha256, max(loads.run_id) as run_id
    from ledger.loads as loads where status = 'loaded' group by loads.source, loads.sha256
)
select
    files.source, files.sha256, latest.run_id,
    summed.event_count, summed.row_count
from summed
inner join ledger.files as files on files.file_ix = summed.file_ix
inner join latest on latest.source = files.source and latest.sha256 = files.sha256
"""
_MOVE_COUNTS = """
update ledger.loads as loads
set
    accepted_count = accepted_count - least(accepted_count, erased.event_count),
    duplicate_count = duplicate_count
        - least(duplicate_count, erased.event_count - least(accepted_count, erased.event_count)),
    conflicting_count = least(
        conflicting_count,
        duplicate_count - least(duplicate_count, erased.event_count - least(accepted_count, erased.event_count))
    ),
    quarantined_count = quarantined_count - least(quarantined_count, erased.row_count),
    erased_count = erased_count + least(accepted_count + duplicate_count, erased.event_count)
        + least(quarantined_count, erased.row_count)
from erased_counts as erased
where loads.source = erased.source and loads.sha256 = erased.sha256 and loads.run_id = erased.run_id
    and loads.status = 'loaded'
"""
# Shares of loaded records are of remaining persons. For a rewritten file the remaining records are counted exactly.
_LOWER_COUNTS = """
update ledger.files as files
set record_count = record_count - erased.event_count - erased.row_count
from erased_counts as erased
where files.source = erased.source and files.sha256 = erased.sha256 and files.kept_sha256 is null
"""
_COUNT_RECORDS = "update ledger.files set record_count = getvariable('retained_count') where source = ? and sha256 = ?"
_DELETE = (
    "delete from raw.events where event_ix in (select event_ix from erased_events)",
    "delete from raw.quarantine where rowid in (select row_id from erased_quarantine)",
    "delete from raw.traits where is_erased_user(user_id)",
)


@dataclass(frozen=True)
class ErasedCounts:
    """Rows that an erasure deletes from the warehouse."""

    event_count: int
    quarantined_count: int
    trait_count: int


def find_erased_rows(warehouse: DuckDBEngine) -> ErasedCounts:
    """Find the rows of `erased_ids`: creates `erased_events` and `erased_quarantine`."""
    warehouse.execute(_ERASED_EVENTS)
    find_texts_naming(warehouse, "select rowid as row_id, raw as text from raw.quarantine")
    warehouse.execute(_ERASED_ROWS)
    return ErasedCounts(
        warehouse.count("erased_events"),
        warehouse.count("erased_quarantine"),
        warehouse.count("raw.traits", "is_erased_user(user_id)"),
    )


def delete_erased_rows(warehouse: DuckDBEngine) -> None:
    """Delete the rows that `find_erased_rows` found and correct the counts of their loads."""
    for statement in (_ERASED_COUNTS, _MOVE_COUNTS, _LOWER_COUNTS, *_DELETE):
        warehouse.execute(statement)


def delete_erased_rows_of_file(
    warehouse: DuckDBEngine, source: str, sha256: str, *, is_log: bool, is_numbered: bool
) -> None:
    """Delete the rows of records that are removed from a file's archived copy and correct its counts.

    `is_log`: no column of its events holds the login, so they are found by line. `is_numbered`: the copy's records have
    the row numbers under which they were loaded.
    """
    place = [source, sha256]
    for table, found, is_asked in (("events", _EVENTS_OF_LINES, is_log), ("rows", _ROWS_OF_FILE, is_numbered)):
        warehouse.execute(found if is_asked else _NOTHING[table], place if is_asked else None)
    for statement in (_ERASED_COUNTS, _MOVE_COUNTS, *_DELETE):
        warehouse.execute(statement)
    update_record_count(warehouse, source, sha256)


def update_record_count(warehouse: DuckDBEngine, source: str, sha256: str) -> None:
    """Set the record count of a file to the variable `retained_count` of `rewrite.validated_records`."""
    warehouse.execute(_COUNT_RECORDS, [source, sha256])


def apply_erasure(config: Config, work: Path, **limits: Any) -> None:  # noqa: ANN401 — handed on
    """Apply the pending erasure, if any, to everything below the state folder; every run does this first.

    `work` is the run's folder for temporary files; `limits` are memory and threads of the database.
    """
    erasure = pending_erasure(config.state)
    if erasure is None:
        return
    raw_store = RawStore(config.state)
    place = config.state / WAREHOUSE
    with open_warehouse(place, temp_folder=work / "spill", **limits) as warehouse:
        add_suppressions(warehouse, erasure.suppressions)
        write_suppressions(warehouse, raw_store)
        register_suppression(warehouse, config, raw_store)
        set_hash_keys(warehouse, person_secret(config))
        with (
            _with_registry(warehouse, config, raw_store) as registered,
            open_input_parser(config, work.name) as input_parser,
        ):
            wanted = _rewrite_copies(registered, input_parser, config, raw_store, erasure)
        _erase(warehouse, erasure)
    # Deleted rows stay in the blocks of the file until they are overwritten, so the file is replaced.
    rewrite_warehouse(place, work / "erased", memory_limit=limits.get("memory_limit"))
    raw_store.remove(set(raw_store.contents()) - wanted)
    _remove_leftovers(config, raw_store)


@contextmanager
def _with_registry(warehouse: DuckDBEngine, config: Config, raw_store: RawStore) -> Iterator[DuckDBEngine]:
    """Yield the warehouse or, where it is new, a database with the registry snapshot of the raw store."""
    if warehouse.count("ledger.files") or not (raw_store.folder / SNAPSHOT).is_file():
        yield warehouse
        return
    with open_warehouse() as registered:
        registered.append("ledger.files", read_snapshot(warehouse, raw_store).files)
        register_suppression(registered, config, raw_store)
        yield registered


def finish_erasure(config: Config, *, is_published: bool) -> None:
    """Remove all older generations once one without the erased persons is published."""
    if not is_published or pending_erasure(config.state) is None:
        return
    generations = config.publish / "generations"
    current = (config.publish / "current").resolve()
    for folder in own_generations(generations):
        if folder.resolve() != current:
            shutil.rmtree(folder)
    _sync(generations)
    end_erasure(config.state)


def nothing_to_publish(config: Config, why: str) -> InputError:
    """Return the error of a run without events; where an erasure left none, the publication is withdrawn first."""
    if pending_erasure(config.state) is None or not withdraw_empty_publication(config):
        return InputError(why)
    return InputError("After the erasure nobody is left of the sources; what was published is withdrawn.")


def withdraw_empty_publication(config: Config) -> bool:
    """Remove the publication if an erasure left no event of a configured source; return whether it was removed."""
    select = "select count(*) as n from raw.events where source in (select unnest(?))"
    with open_warehouse(config.state / WAREHOUSE) as warehouse:
        if warehouse.rows(select, [list(config.sources)])["n"][0].as_py():
            return False
    (config.publish / "current").unlink(missing_ok=True)
    for folder in own_generations(config.publish / "generations"):
        shutil.rmtree(folder, ignore_errors=True)
    remove_unfinished(config.publish / "generations")
    with suppress(OSError):  # It is missing, or holds what others put there.
        (config.publish / "generations").rmdir()
    _sync(config.publish)
    end_erasure(config.state)
    return True


def _erase(warehouse: DuckDBEngine, erasure: PendingErasure) -> None:
    with transaction(warehouse):
        find_erased_rows(warehouse)
        delete_erased_rows(warehouse)
        for source in erasure.again:
            # No settings have an empty hash, so the run reads the source's files again.
            warehouse.execute("update ledger.files set settings_hash = '' where source = ? and is_loaded", [source])


def _rewrite_copies(
    warehouse: DuckDBEngine, input_parser: InputParser, config: Config, raw_store: RawStore, erasure: PendingErasure
) -> set[str]:
    """Archive copies without erased records beside the old ones; return the contents that are still needed."""
    set_hash_keys(warehouse, person_secret(config))
    registry = FileRegistry(warehouse, "", 0)
    dropped = set(erasure.dropped)
    for source, sha256 in erasure.contents:
        # Queried per file: another source may just have rewritten the same file.
        for known in registry.files():
            is_meant = (known.source, known.sha256) == (source, sha256)
            if is_meant and not _rewrite_copy(warehouse, input_parser, config, raw_store, known):
                dropped.add(sha256)
    write_snapshot(warehouse, raw_store)
    return {known.copy_sha256 for known in registry.files() if known.sha256 not in dropped}


def _rewrite_copy(
    warehouse: DuckDBEngine, input_parser: InputParser, config: Config, raw_store: RawStore, known: RegisteredFile
) -> bool:
    """Replace an archived copy by one without erased records; return whether that was possible."""
    copy = (
        None if known.is_empty else raw_store.file(known.source_file, known.sha256, known.byte_count, known.kept_sha256)
    )
    if copy is None:
        return True
    try:
        source = config.sources[known.source]
        if not count_erased(warehouse, input_parser, config, known.source, copy, known.first_loaded_at):
            # Another source that read the same file may have rewritten it.
            update_record_count(warehouse, known.source, known.sha256)
            return True
        is_numbered = copy.kept_sha256 is None or keeps_line_numbers(
            input_parser.copies.folder, input_parser.job(copy, source)
        )
        kept_sha256 = rewrite(warehouse, input_parser, config, known.source, copy, raw_store)
    except (RefusedFileError, KeyError):  # Damaged, or of a source that is no longer configured.
        return False
    with transaction(warehouse):
        is_log = source.format == "access_log"
        delete_erased_rows_of_file(warehouse, known.source, known.sha256, is_log=is_log, is_numbered=is_numbered)
        FileRegistry(warehouse, "", 0).record_rewritten(known.sha256, kept_sha256)
    return True


def _remove_leftovers(config: Config, raw_store: RawStore) -> None:
    """Remove other files with rows: the last build, and leftovers of killed runs and of damage."""
    for name in (BUILD, SELECTED, f"damaged-{WAREHOUSE}"):
        for path in (config.state / name, config.state / f"{name}.wal"):
            path.unlink(missing_ok=True)
    remove_unfinished(config.publish / "generations")
    _sync(raw_store.folder)
    _sync(config.state)


def _sync(folder: Path) -> None:
    with suppress(FileNotFoundError):
        sync(folder)


def require_no_pending_erasure(config: Config) -> None:
    """Raise InputError while an erasure is pending: the publication still holds the erased persons."""
    if pending_erasure(config.state):
        raise InputError("An erasure is not done yet; `journeyflow run` completes and publishes it.")
