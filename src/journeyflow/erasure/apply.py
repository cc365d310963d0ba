"""Apply an erasure to the warehouse and the archived files; idempotent."""

from __future__ import annotations

import shutil
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from journeyflow.erasure.journal import PendingErasure, end_erasure, pending_erasure
from journeyflow.errors import InputError
from journeyflow.ingest import suppression
from journeyflow.ingest.file_registry import FileRegistry, RegisteredFile
from journeyflow.ingest.files import RefusedFileError
from journeyflow.ingest.parser.copy import InputParser, open_input_parser
from journeyflow.ingest.raw_store import SNAPSHOT, RawStore, read_snapshot, write_snapshot
from journeyflow.ingest.rewrite import WHOLE_ROWS, count_erased, keeps_line_numbers, rewrite
from journeyflow.ingest.suppression import find_rejects_naming
from journeyflow.state.paths import BUILD, WAREHOUSE
from journeyflow.state.secret_key import person_secret, set_hash_keys
from journeyflow.state.warehouse import open_warehouse, rewrite_warehouse, transaction
from journeyflow.utils.files import sync

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from journeyflow.config import Config
    from journeyflow.engines import DuckDBEngine


_ERASED_EVENTS = """
create or replace temp table superseded_events as
select event_ix, file_ix from raw.events
where is_erased_user(user_id) or is_erased_device(anonymous_id)
    or (event_name = 'alias' and is_erased_user(json_extract_string(properties, '/previous_id')))
"""
# Of a list, all elements that are no objects go, as they go of the kept copy: they share line and detail.
_ERASED_ROWS = """
create or replace temp table gone_rows as
select row_id from naming_texts
union
select others.rowid from raw.quarantine as others
inner join raw.quarantine as theirs
    on theirs.file_ix = others.file_ix and theirs.source_row = others.source_row and theirs.detail = others.detail
where theirs.rowid in (select row_id from naming_texts) and theirs.file_ix > 0
"""
_EVENTS_OF_LINES = """
create or replace temp table superseded_events as
select events.event_ix, events.file_ix
from raw.events as events
inner join ledger.files as files on files.file_ix = events.file_ix
where files.source = ? and files.sha256 = ? and events.source_row in (select source_row from erased_records)
"""
# What goes of a file as a whole row goes of the quarantine too, whatever its text shows.
_ROWS_OF_FILE = f"""
create or replace temp table gone_rows as
select quarantine.rowid as row_id
from raw.quarantine as quarantine
inner join ledger.files as files on files.file_ix = quarantine.file_ix
where files.source = ? and files.sha256 = ? and quarantine.source_row in ({WHOLE_ROWS})
"""
_NOTHING = {
    "events": "create or replace temp table superseded_events as select 0::bigint as event_ix, 0 as file_ix where false",
    "rows": "create or replace temp table gone_rows as select 0::bigint as row_id where false",
}
# An account says what became of each record: what was accepted or kept aside is erased now. Where a file's event took
# the place of one that another file brought, it was counted as a duplicate.
_ERASED_COUNTS = """
create or replace temp table gone_counts as
with counted as (
    select file_ix, count(*) as event_count, 0 as row_count from superseded_events group by file_ix
    union all
    select file_ix, 0, count(*) from raw.quarantine where rowid in (select row_id from gone_rows) group by file_ix
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
    accepted_count = accepted_count - least(accepted_count, gone.event_count),
    duplicate_count = duplicate_count
        - least(duplicate_count, gone.event_count - least(accepted_count, gone.event_count)),
    conflicting_count = least(
        conflicting_count,
        duplicate_count - least(duplicate_count, gone.event_count - least(accepted_count, gone.event_count))
    ),
    quarantined_count = quarantined_count - least(quarantined_count, gone.row_count),
    erased_count = erased_count + least(accepted_count + duplicate_count, gone.event_count)
        + least(quarantined_count, gone.row_count)
from gone_counts as gone
where loads.source = gone.source and loads.sha256 = gone.sha256 and loads.run_id = gone.run_id
    and loads.status = 'loaded'
"""
# Shares of what landed are told of people who are there. Of a file that is written anew it is known how many are not.
_LOWER_COUNTS = """
update ledger.files as files
set record_count = record_count - gone.event_count - gone.row_count
from gone_counts as gone
where files.source = gone.source and files.sha256 = gone.sha256 and files.kept_sha256 is null
"""
_COUNT_RECORDS = "update ledger.files set record_count = getvariable('surviving_count') where source = ? and sha256 = ?"
_DELETE = (
    "delete from raw.events where event_ix in (select event_ix from superseded_events)",
    "delete from raw.quarantine where rowid in (select row_id from gone_rows)",
    "delete from raw.traits where is_erased_user(user_id)",
)


@dataclass(frozen=True)
class ErasedCounts:
    """What an erasure takes out of the warehouse."""

    event_count: int
    quarantined_count: int
    trait_count: int


def find_erased_rows(warehouse: DuckDBEngine) -> ErasedCounts:
    """Find what `erased_ids` tells of: leaves `superseded_events` and `gone_rows`."""
    warehouse.execute(_ERASED_EVENTS)
    find_rejects_naming(warehouse, "select rowid as row_id, raw as text from raw.quarantine")
    warehouse.execute(_ERASED_ROWS)
    return ErasedCounts(
        warehouse.count("superseded_events"),
        warehouse.count("gone_rows"),
        warehouse.count("raw.traits", "is_erased_user(user_id)"),
    )


def delete_erased_rows(warehouse: DuckDBEngine) -> None:
    """Delete what `find_gone` found, and let the accounts say so."""
    for statement in (_ERASED_COUNTS, _MOVE_COUNTS, _LOWER_COUNTS, *_DELETE):
        warehouse.execute(statement)


def delete_erased_rows_of_file(
    warehouse: DuckDBEngine, source: str, sha256: str, *, is_log: bool, is_numbered: bool
) -> None:
    """Delete what the kept copy of a file loses, whatever its text shows, and let the accounts say so.

    Parameters
    ----------
    warehouse : DuckDBEngine
        Holds `erased_records`, `erased_places` and the variable of `count_survivors`.
    source, sha256 : str
        Name the file.
    is_log : bool
        Whether no column of its events holds the login, so that only the line says whose they are.
    is_numbered : bool
        Whether its records still have the numbers under which they landed.
    """
    place = [source, sha256]
    for table, found, is_asked in (("events", _EVENTS_OF_LINES, is_log), ("rows", _ROWS_OF_FILE, is_numbered)):
        warehouse.execute(found if is_asked else _NOTHING[table], place if is_asked else None)
    for statement in (_ERASED_COUNTS, _MOVE_COUNTS, *_DELETE):
        warehouse.execute(statement)
    count_survivors(warehouse, source, sha256)


def count_survivors(warehouse: DuckDBEngine, source: str, sha256: str) -> None:
    """Write down how many records of a file are of nobody erased, as `rewriting.judged` counted them."""
    warehouse.execute(_COUNT_RECORDS, [source, sha256])


def apply_erasure(config: Config, work: Path, **limits: Any) -> None:  # noqa: ANN401 — handed on
    """Erase what the note tells of from everything below `state`; a night calls it first, while it holds the lock.

    Parameters
    ----------
    config : Config
        The project.
    work : Path
        Folder of the run for what it needs meanwhile.
    **limits
        Memory and threads of the database.

    Raises
    ------
    JourneyflowError
        When it cannot be done now; the next night tries again.

    References
    ----------
    `docs/adr/0025-erasure.md`.
    """
    erasure = pending_erasure(config.state)
    if erasure is None:
        return
    raw_store = RawStore(config.state)
    place = config.state / WAREHOUSE
    with open_warehouse(place, temp_folder=work / "spill", **limits) as warehouse:
        suppression.add_suppressions(warehouse, erasure.suppressions)
        suppression.write_suppressions(warehouse, raw_store)
        suppression.register_suppression(warehouse, config, raw_store)
        set_hash_keys(warehouse, person_secret(config))
        with (
            _knowing_files(warehouse, config, raw_store) as knowing,
            open_input_parser(config, work.name) as input_parser,
        ):
            wanted = _rewrite_copies(knowing, input_parser, config, raw_store, erasure)
        _erase(warehouse, erasure)
    # What was deleted stays in the file until others write over it: only another file is without it.
    rewrite_warehouse(place, work / "erased", memory_limit=limits.get("memory_limit"))
    raw_store.remove(set(raw_store.contents()) - wanted)
    _remove_rest(config, raw_store)


@contextmanager
def _knowing_files(warehouse: DuckDBEngine, config: Config, raw_store: RawStore) -> Iterator[DuckDBEngine]:
    """Give the warehouse, or, where it is new, one that knows of the kept files by the list beside them."""
    if warehouse.count("ledger.files") or not (raw_store.folder / SNAPSHOT).is_file():
        yield warehouse
        return
    with open_warehouse() as knowing:
        knowing.append("ledger.files", read_snapshot(warehouse, raw_store).files)
        suppression.register_suppression(knowing, config, raw_store)
        yield knowing


def finish_erasure(config: Config, *, is_published: bool) -> None:
    """Remove every generation but the current one, once the current one was built without whom the note is about."""
    if not is_published or pending_erasure(config.state) is None:
        return
    generations = config.publish / "generations"
    current = (config.publish / "current").resolve()
    for folder in generations.iterdir() if generations.is_dir() else ():
        if folder.resolve() != current:
            shutil.rmtree(folder)
    _sync(generations)
    end_erasure(config.state)


def nothing_to_publish(config: Config, why: str) -> InputError:
    """Withdraw what is published where an erasure left nobody, and return the error of a night that loaded nothing.

    Parameters
    ----------
    config : Config
        The project.
    why : str
        Why there is nothing to publish.
    """
    if pending_erasure(config.state) is None or not withdraw_empty_publication(config):
        return InputError(why)
    return InputError("After the erasure nobody is left of the sources; what was published is withdrawn.")


def withdraw_empty_publication(config: Config) -> bool:
    """Remove all that is published if, after an erasure, nobody is left of whom it could be; say whether.

    Events of sources that were taken out of the configuration are published of nobody.
    """
    select = "select count(*) as n from raw.events where source in (select unnest(?))"
    with open_warehouse(config.state / WAREHOUSE) as warehouse:
        if warehouse.rows(select, [list(config.sources)])["n"][0].as_py():
            return False
    (config.publish / "current").unlink(missing_ok=True)
    shutil.rmtree(config.publish / "generations", ignore_errors=True)
    _sync(config.publish)
    end_erasure(config.state)
    return True


def _erase(warehouse: DuckDBEngine, erasure: PendingErasure) -> None:
    with transaction(warehouse):
        find_erased_rows(warehouse)
        delete_erased_rows(warehouse)
        for source in erasure.again:
            # No settings have an empty hash: the night takes the source's files for changed and reads them again.
            warehouse.execute("update ledger.files set settings_hash = '' where source = ? and is_loaded", [source])


def _rewrite_copies(
    warehouse: DuckDBEngine, input_parser: InputParser, config: Config, raw_store: RawStore, erasure: PendingErasure
) -> set[str]:
    """Put copies without erased records beside the old ones, and return the contents that are still wanted."""
    set_hash_keys(warehouse, person_secret(config))
    registry = FileRegistry(warehouse, "", 0)
    dropped = set(erasure.dropped)
    for source, sha256 in erasure.contents:
        # Asked anew: another source may have changed what is kept of the same file.
        for known in registry.files():
            is_meant = (known.source, known.sha256) == (source, sha256)
            if is_meant and not _rewrite_copy(warehouse, input_parser, config, raw_store, known):
                dropped.add(sha256)
    write_snapshot(warehouse, raw_store)
    return {known.copy_sha256 for known in registry.files() if known.sha256 not in dropped}


def _rewrite_copy(
    warehouse: DuckDBEngine, input_parser: InputParser, config: Config, raw_store: RawStore, known: RegisteredFile
) -> bool:
    """Put a copy without erased records in the place of a kept one; say whether that could be done."""
    copy = (
        None if known.is_empty else raw_store.file(known.source_file, known.sha256, known.byte_count, known.kept_sha256)
    )
    if copy is None:
        return True
    try:
        source = config.sources[known.source]
        if not count_erased(warehouse, input_parser, config, known.source, copy, known.first_loaded_at):
            # Another source that read the same file may have cut it.
            count_survivors(warehouse, known.source, known.sha256)
            return True
        is_numbered = copy.kept_sha256 is None or keeps_line_numbers(
            input_parser.staging.folder, input_parser.job(copy, source)
        )
        kept_sha256 = rewrite(warehouse, input_parser, config, known.source, copy, raw_store)
    except (RefusedFileError, KeyError):  # Damaged, or of a source that is gone by now.
        return False
    with transaction(warehouse):
        is_log = source.format == "access_log"
        delete_erased_rows_of_file(warehouse, known.source, known.sha256, is_log=is_log, is_numbered=is_numbered)
        FileRegistry(warehouse, "", 0).record_rewritten(known.sha256, kept_sha256)
    return True


def _remove_rest(config: Config, raw_store: RawStore) -> None:
    """Remove what else holds rows: the last build, what killed runs and damage left."""
    for name in (BUILD, f"damaged-{WAREHOUSE}"):
        for path in config.state.glob(f"{name}*"):
            path.unlink(missing_ok=True)
    for path in (config.publish / "generations").glob(".unfinished-*"):
        shutil.rmtree(path, ignore_errors=True)
    _sync(raw_store.folder)
    _sync(config.state)


def _sync(folder: Path) -> None:
    with suppress(FileNotFoundError):
        sync(folder)


def require_no_pending_erasure(config: Config) -> None:
    """Refuse to compare with what is published while an erasure is not done.

    Raises
    ------
    InputError
        When one is pending.
    """
    if pending_erasure(config.state):
        raise InputError("An erasure is not done yet; `journeyflow run` completes and publishes it.")
