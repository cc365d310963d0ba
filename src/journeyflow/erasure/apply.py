"""Apply the pending erasure, which a journal holds, to warehouse, archived files and publication; idempotent."""

from __future__ import annotations

import json
import shutil
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from journeyflow.errors import InputError, JourneyflowError
from journeyflow.ingest.archive import RecordArchive, blanking, rows_without_others
from journeyflow.ingest.file_registry import FileRegistry, RegisteredFile
from journeyflow.ingest.files import SNAPSHOT, RawStore, RefusedFileError, read_snapshot, write_snapshot
from journeyflow.ingest.remote import attempted, object_target, store_errors
from journeyflow.ingest.suppression import add_suppressions, find_texts_naming, register_suppression, write_suppressions
from journeyflow.publish.generation import own_generations, remove_unfinished, withdraw_copies
from journeyflow.publish.targets import remove_from_lists, remove_lists, withdraw_postgres
from journeyflow.state.folder import clear_shared, person_secret, set_hash_keys
from journeyflow.state.paths import BUILD, ERASURE, SELECTED, WAREHOUSE
from journeyflow.state.warehouse import open_warehouse, rewrite_warehouse, transaction
from journeyflow.utils.files import replaced_file, sync

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from journeyflow.config import Config
    from journeyflow.engines import DuckDBEngine


ErasedRecords = tuple[str, str, tuple[int, ...], tuple[int, ...]]
"""Source, hash of archived records, numbers of those to remove, and of those in which the ids are blanked."""


@dataclass(frozen=True)
class PendingErasure:
    """What an erasure deletes, without an id: hashes of ids, archived files, sources to read again and local days.

    `archives` say which records are removed, and in which the ids are blanked, see `ErasedRecords`; the archived
    records and originals of `dropped` are deleted whole. `again` are sources in which another person's event regains
    its place. `days` explain figures that the erasure changed.
    """

    suppressions: tuple[str, ...] = ()
    archives: tuple[ErasedRecords, ...] = ()
    dropped: tuple[str, ...] = ()
    again: tuple[str, ...] = ()
    days: tuple[str, ...] = ()

    def joined(self, other: PendingErasure) -> PendingErasure:
        """Return one erasure of both."""
        both = {each.name: {*getattr(self, each.name), *getattr(other, each.name)} for each in fields(self)}
        return PendingErasure(**{name: tuple(sorted(found)) for name, found in both.items()})


def pending_erasure(state: Path) -> PendingErasure | None:
    """Return the erasure of a state folder that is begun and not done; InputError when its file cannot be read."""
    path = state / ERASURE
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if "tombstones" in found:  # The key in earlier versions.
            found["suppressions"] = found.pop("tombstones")
        # Earlier versions rewrote files of these contents, which are now deleted whole.
        contents = [sha256 for _, sha256 in found.pop("contents", ())]
        erasure = PendingErasure(**{name: tuple(values) for name, values in found.items()})
        archives = ((source, sha256, tuple(rows), tuple(blanked)) for source, sha256, rows, blanked in erasure.archives)
        return replace(erasure, archives=tuple(archives), dropped=(*erasure.dropped, *contents))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}, the note of an erasure that is not done, cannot be read. Move it away and run `journeyflow "
            "erase` with the same ids again."
        ) from error


def begin_erasure(state: Path, erasure: PendingErasure) -> None:
    """Record an erasure, joined with one that is not done; every run completes it first from now on."""
    earlier = pending_erasure(state)
    whole = earlier.joined(erasure) if earlier else erasure
    try:
        with replaced_file(state / ERASURE) as file:
            file.write(json.dumps(asdict(whole)).encode())
    except OSError as error:
        raise JourneyflowError(
            f"Cannot write {ERASURE} in {state}: {error.strerror or type(error).__name__}. Nothing was erased; make "
            "room."
        ) from error


def end_erasure(state: Path) -> None:
    """Remove the record of an erasure: it is done."""
    (state / ERASURE).unlink(missing_ok=True)
    sync(state)


_ERASED_EVENTS = """
create or replace temp table erased_events as
select event_ix, file_ix from raw.events
where is_erased_user(user_id) or is_erased_device(anonymous_id)
    or (event_name = 'alias' and is_erased_user(json_extract_string(properties, '/previous_id')))
"""
_ERASED_ROWS = "create or replace temp table erased_quarantine as select row_id from naming_texts"
# What came from records that are removed from the archive goes too, whatever its columns show: no event holds the login
# of a log line.
_OF_REMOVED_ROWS = (
    """
    insert into erased_events
    select event_ix, file_ix from raw.events
    where (file_ix, source_row) in (select (file_ix, source_row) from removed_rows)
        and event_ix not in (select event_ix from erased_events)
    """,
    """
    insert into erased_quarantine
    select rowid from raw.quarantine
    where (file_ix, source_row) in (select (file_ix, source_row) from removed_rows)
        and rowid not in (select row_id from erased_quarantine)
    """,
)
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
# Shares of loaded records are of remaining persons. Archived records that remain are counted exactly.
_LOWER_COUNTS = """
update ledger.files as files
set record_count = record_count - erased.event_count - erased.row_count
from erased_counts as erased
where files.source = erased.source and files.sha256 = erased.sha256 and files.archive_sha256 is null
"""
_CHANGE = "update ledger.files set archive_sha256 = ?, record_count = ? where source = ? and archive_sha256 = ?"
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


def apply_erasure(config: Config, work: Path, **limits: Any) -> None:  # noqa: ANN401 — handed on
    """Apply the pending erasure, if any, to everything below the state folder; every run does this first.

    `work` is the run's folder for temporary files; `limits` are memory and threads of the database.
    """
    erasure = pending_erasure(config.state)
    if erasure is None:
        return
    archive, raw_store = RecordArchive(config.state), RawStore(config.state)
    place = config.state / WAREHOUSE
    with open_warehouse(place, temp_folder=work / "spill", **limits) as warehouse:
        add_suppressions(warehouse, erasure.suppressions)
        write_suppressions(warehouse, raw_store)
        register_suppression(warehouse, config, raw_store)
        set_hash_keys(warehouse, person_secret(config))
        remove_from_lists(config.state, partial(_erased_among, warehouse))
        with _with_registry(warehouse, config, raw_store) as registered:
            changes = _reduce_archives(registered, archive, erasure)
            archive.flush()
            with transaction(registered):
                _erase(registered, erasure, changes)
            write_snapshot(registered, raw_store)
            known = FileRegistry(registered, "", 0).files()
    # Deleted rows stay in the blocks of the file until they are overwritten, so the file is replaced.
    rewrite_warehouse(place, work / "erased", memory_limit=limits.get("memory_limit"))
    archive.remove(archive.contents() - {file.archive_sha256 for file in known})
    raw_store.remove(erasure.dropped)
    _remove_leftovers(config, raw_store)


def _erased_among(warehouse: DuckDBEngine, texts: Sequence[str]) -> list[str]:
    """Return the texts that are ids of erased persons."""
    warehouse.scratch("listed_texts", pa.table({"text": pa.array(texts, pa.string())}).to_reader())
    select = "select text from listed_texts where is_erased_user(text) or is_erased_device(text)"
    found: list[str] = warehouse.rows(select)["text"].to_pylist()
    return found


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
    remove_lists(config.state)
    with suppress(OSError):  # It is missing, or holds what others put there.
        (config.publish / "generations").rmdir()
    _sync(config.publish)
    _withdraw_targets(config)
    end_erasure(config.state)
    return True


def _withdraw_targets(config: Config) -> None:
    """Remove what was copied to the configured targets; where one refuses, the erasure stays pending."""
    withdraw_postgres(config)
    if config.targets.object_store is None:
        return

    def withdraw() -> None:
        with store_errors("removed"):
            withdraw_copies(*object_target(config))

    try:
        attempted(withdraw)
    except RefusedFileError as error:
        raise JourneyflowError(
            f"The publication is withdrawn here and not in the object store: {error.detail}. The erasure stays "
            "pending; erase or run again."
        ) from error


@dataclass(frozen=True)
class _Change:
    """Archived records of a source that other ones replace; `rows` are the rows of the file that are gone."""

    source: str
    before: str
    after: str | None
    record_count: int
    rows: Sequence[int]


def _reduce_archives(warehouse: DuckDBEngine, archive: RecordArchive, erasure: PendingErasure) -> list[_Change]:
    """Archive the records that remain beside the old ones; what is damaged is given up."""
    numbers: dict[tuple[str, str], tuple[set[int], set[int]]] = {}
    for source, archive_sha256, removed, blanked in erasure.archives:
        held = numbers.setdefault((source, archive_sha256), (set(), set()))
        held[0].update(removed)
        held[1].update(blanked)
    changes = []
    for known in FileRegistry(warehouse, "", 0).files():
        if (place := (known.source, known.archive_sha256 or "")) in numbers:
            changes.append(_reduced(warehouse, archive, known, *numbers[place]))
        elif known.archive_sha256 in erasure.dropped:
            changes.append(_Change(known.source, known.archive_sha256 or "", None, 0, ()))
    return changes


def _reduced(
    warehouse: DuckDBEngine, archive: RecordArchive, known: RegisteredFile, removed: set[int], blanked: set[int]
) -> _Change:
    before = known.archive_sha256 or ""
    try:
        parsed = archive.read(before)
    except RefusedFileError:
        return _Change(known.source, before, None, 0, ())
    rows = () if parsed.is_renumbered else rows_without_others(parsed, removed)
    after = archive.write(known.source_file, parsed, removed, change=blanking(warehouse, blanked) if blanked else None)
    left = archive.read(after).answer
    return _Change(known.source, before, after, left.row_count + left.reject_count, rows)


def _erase(warehouse: DuckDBEngine, erasure: PendingErasure, changes: Sequence[_Change]) -> None:
    find_erased_rows(warehouse)
    warehouse.execute("create or replace temp table removed_rows (file_ix integer, source_row bigint)")
    for change in changes:
        warehouse.scratch("rows_of_file", pa.table({"source_row": pa.array(change.rows, pa.int64())}).to_reader())
        warehouse.execute(
            "insert into removed_rows select file_ix, source_row from ledger.files cross join rows_of_file "
            "where source = ? and archive_sha256 = ?",
            [change.source, change.before],
        )
    for statement in _OF_REMOVED_ROWS:
        warehouse.execute(statement)
    delete_erased_rows(warehouse)
    for change in changes:
        warehouse.execute(_CHANGE, [change.after, change.record_count, change.source, change.before])
    for source in erasure.again:
        # No settings have an empty hash, so the run reads the source's files again.
        warehouse.execute("update ledger.files set settings_hash = '' where source = ? and is_loaded", [source])


def _remove_leftovers(config: Config, raw_store: RawStore) -> None:
    """Remove other files with rows: the last build, and leftovers of killed runs and of damage."""
    for name in (BUILD, SELECTED, f"damaged-{WAREHOUSE}"):
        for path in (config.state / name, config.state / f"{name}.wal"):
            path.unlink(missing_ok=True)
    remove_unfinished(config.publish / "generations")
    clear_shared(config.state)
    _sync(raw_store.folder)
    _sync(config.state)


def _sync(folder: Path) -> None:
    with suppress(FileNotFoundError):
        sync(folder)


def require_no_pending_erasure(config: Config) -> None:
    """Raise InputError while an erasure is pending: the publication still holds the erased persons."""
    if pending_erasure(config.state):
        raise InputError("An erasure is not done yet; `journeyflow run` completes and publishes it.")
