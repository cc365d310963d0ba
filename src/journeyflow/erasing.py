"""Carrying out an erasure, from its note alone: as often as it takes, it ends in the same state."""

from __future__ import annotations

import shutil
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from journeyflow import compacting
from journeyflow.erasures import Erasure, end, pending
from journeyflow.errors import InputError
from journeyflow.ingest import open_warehouse, tombstones
from journeyflow.ingest.cutting import keeps_numbers
from journeyflow.ingest.files import RefusedFileError
from journeyflow.ingest.hashing import set_hash_keys
from journeyflow.ingest.intake import Intake, intake_of
from journeyflow.ingest.keeping import Kept
from journeyflow.ingest.ledger import KnownFile, Ledger
from journeyflow.ingest.remaking import LIST, remembered, write_list
from journeyflow.ingest.rewriting import count_erased, rewrite
from journeyflow.ingest.taking_out import count_survivors, find_gone, take_out, take_out_of_file
from journeyflow.ingest.transactions import transaction
from journeyflow.project import BUILD, WAREHOUSE
from journeyflow.publish.files import sync
from journeyflow.secret import person_secret

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from journeyflow.config import Config
    from journeyflow.engines import DuckDBEngine


def carry_out(config: Config, work: Path, **limits: Any) -> None:  # noqa: ANN401 — handed on
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
    erasure = pending(config.state)
    if erasure is None:
        return
    kept = Kept(config.state)
    place = config.state / WAREHOUSE
    with open_warehouse(place, temp_folder=work / "spill", **limits) as warehouse:
        tombstones.add(warehouse, erasure.tombstones)
        tombstones.write_list(warehouse, kept)
        tombstones.arm(warehouse, config, kept)
        set_hash_keys(warehouse, person_secret(config))
        with _knowing_files(warehouse, config, kept) as knowing, intake_of(config, work.name) as intake:
            wanted = _rewrite_copies(knowing, intake, config, kept, erasure)
        _erase(warehouse, erasure)
    # What was deleted stays in the file until others write over it: only another file is without it.
    compacting.rewrite(place, work / "erased", memory_limit=limits.get("memory_limit"))
    kept.remove(set(kept.contents()) - wanted)
    _remove_rest(config, kept)


@contextmanager
def _knowing_files(warehouse: DuckDBEngine, config: Config, kept: Kept) -> Iterator[DuckDBEngine]:
    """Give the warehouse, or, where it is new, one that knows of the kept files by the list beside them."""
    if warehouse.count("ledger.files") or not (kept.folder / LIST).is_file():
        yield warehouse
        return
    with open_warehouse() as knowing:
        knowing.append("ledger.files", remembered(warehouse, kept).files)
        tombstones.arm(knowing, config, kept)
        yield knowing


def finish(config: Config, *, is_published: bool) -> None:
    """Remove every generation but the current one, once the current one was built without whom the note is about."""
    if not is_published or pending(config.state) is None:
        return
    generations = config.publish / "generations"
    current = (config.publish / "current").resolve()
    for folder in generations.iterdir() if generations.is_dir() else ():
        if folder.resolve() != current:
            shutil.rmtree(folder)
    _sync(generations)
    end(config.state)


def nothing_left(config: Config, why: str) -> InputError:
    """Withdraw what is published where an erasure left nobody, and return the error of a night that loaded nothing.

    Parameters
    ----------
    config : Config
        The project.
    why : str
        Why there is nothing to publish.
    """
    if pending(config.state) is None or not withdraw_of_nobody(config):
        return InputError(why)
    return InputError("After the erasure nobody is left of the sources; what was published is withdrawn.")


def withdraw_of_nobody(config: Config) -> bool:
    """Remove all that is published if, after an erasure, nobody is left of whom it could be; say whether.

    Events of sources that were taken out of the configuration are published of nobody.
    """
    select = "select count(*) as n from landed.events where source in (select unnest(?))"
    with open_warehouse(config.state / WAREHOUSE) as warehouse:
        if warehouse.rows(select, [list(config.sources)])["n"][0].as_py():
            return False
    (config.publish / "current").unlink(missing_ok=True)
    shutil.rmtree(config.publish / "generations", ignore_errors=True)
    _sync(config.publish)
    end(config.state)
    return True


def _erase(warehouse: DuckDBEngine, erasure: Erasure) -> None:
    with transaction(warehouse):
        find_gone(warehouse)
        take_out(warehouse)
        for source in erasure.again:
            # No settings have an empty hash: the night takes the source's files for changed and reads them again.
            warehouse.execute("update ledger.files set settings_hash = '' where source = ? and is_landed", [source])


def _rewrite_copies(warehouse: DuckDBEngine, intake: Intake, config: Config, kept: Kept, erasure: Erasure) -> set[str]:
    """Put copies without erased records beside the old ones, and return the contents that are still wanted."""
    set_hash_keys(warehouse, person_secret(config))
    ledger = Ledger(warehouse, "", 0)
    dropped = set(erasure.dropped)
    for source, sha256 in erasure.contents:
        # Asked anew: another source may have changed what is kept of the same file.
        for known in ledger.files():
            is_meant = (known.source, known.sha256) == (source, sha256)
            if is_meant and not _rewrite_copy(warehouse, intake, config, kept, known):
                dropped.add(sha256)
    write_list(warehouse, kept)
    return {known.copy_sha256 for known in ledger.files() if known.sha256 not in dropped}


def _rewrite_copy(warehouse: DuckDBEngine, intake: Intake, config: Config, kept: Kept, known: KnownFile) -> bool:
    """Put a copy without erased records in the place of a kept one; say whether that could be done."""
    copy = None if known.is_empty else kept.file(known.source_file, known.sha256, known.byte_count, known.kept_sha256)
    if copy is None:
        return True
    try:
        source = config.sources[known.source]
        if not count_erased(warehouse, intake, config, known.source, copy, known.first_loaded_at):
            # Another source that read the same file may have cut it.
            count_survivors(warehouse, known.source, known.sha256)
            return True
        is_numbered = copy.kept_sha256 is None or keeps_numbers(intake.staging.folder, intake.job(copy, source))
        kept_sha256 = rewrite(warehouse, intake, config, known.source, copy, kept)
    except (RefusedFileError, KeyError):  # Damaged, or of a source that is gone by now.
        return False
    with transaction(warehouse):
        is_log = source.format == "access_log"
        take_out_of_file(warehouse, known.source, known.sha256, is_log=is_log, is_numbered=is_numbered)
        Ledger(warehouse, "", 0).record_rewritten(known.sha256, kept_sha256)
    return True


def _remove_rest(config: Config, kept: Kept) -> None:
    """Remove what else holds rows: the last build, what killed runs and damage left."""
    for name in (BUILD, f"damaged-{WAREHOUSE}"):
        for path in config.state.glob(f"{name}*"):
            path.unlink(missing_ok=True)
    for path in (config.publish / "generations").glob(".unfinished-*"):
        shutil.rmtree(path, ignore_errors=True)
    _sync(kept.folder)
    _sync(config.state)


def _sync(folder: Path) -> None:
    with suppress(FileNotFoundError):
        sync(folder)


def require_done(config: Config) -> None:
    """Refuse to compare with what is published while an erasure is not done.

    Raises
    ------
    InputError
        When one is pending.
    """
    if pending(config.state):
        raise InputError("An erasure is not done yet; `journeyflow run` completes and publishes it.")
