"""The warehouse without the room of what was deleted: copied into a new file, which takes the place of the old one."""

from __future__ import annotations

import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from journeyflow.engines import DuckDBEngine
from journeyflow.errors import InputError, JourneyflowError
from journeyflow.ingest import open_warehouse
from journeyflow.ingest.remaking import settle
from journeyflow.lock import held
from journeyflow.progress import Progress, silent, tell
from journeyflow.project import WAREHOUSE

if TYPE_CHECKING:
    from journeyflow.config import Config

FREE_SHARE = 0.5
"""Share of free blocks from which a night compacts by itself."""
LEAST_BYTES = 64 << 20
"""A warehouse below this size is left as it is by a night."""
_OLD = "old"


@dataclass(frozen=True)
class Compacted:
    """What the file took before and after, in bytes."""

    bytes_before: int
    bytes_after: int


def compact(config: Config, *, memory_limit: str | None = None, progress: Progress = silent) -> Compacted:
    """Write the warehouse of a project anew, under its lock.

    Parameters
    ----------
    config : Config
        The project.
    memory_limit : str or None
        See `runner.Night`.
    progress : Progress
        Told when it is done.

    Raises
    ------
    InputError
        When there is no warehouse, or not room for a second one.
    JourneyflowError
        When it cannot be read or written; the old file stands.
    """
    place = config.state / WAREHOUSE
    if not place.exists():
        raise InputError(f"There is no {place}: nothing was loaded yet. Run `journeyflow run` first.")
    with held(config.state):
        open_warehouse(place).close()  # Brought to the newest schema, its log written into it.
        return rewrite(place, config.state / "work" / "compact", memory_limit=memory_limit, progress=progress)


def if_worthwhile(place: Path, work: Path, progress: Progress = silent) -> None:
    """Compact a closed warehouse when half of a large file is free; call it while holding the lock.

    It is no part of what a night owes: when it cannot be done, the file stays as it is, and `doctor` tells.
    """
    with suppress(JourneyflowError, OSError):
        if place.stat().st_size >= LEAST_BYTES and free_share(place) >= FREE_SHARE:
            rewrite(place, work, progress=progress)


def free_share(place: Path) -> float:
    """Return which share of a database file's blocks holds nothing."""
    with DuckDBEngine(place, read_only=True, threads=1) as engine:
        total, free = engine.blocks()
    return free / total if total else 0.0


def rewrite(place: Path, work: Path, *, memory_limit: str | None = None, progress: Progress = silent) -> Compacted:
    """Copy the closed database `place` into a new file, by way of the folder `work`, which takes the old one's place.

    Bytes of deleted rows are not copied. A process that dies in the middle leaves the old file or the new one, whole.

    Raises
    ------
    JourneyflowError
        When there is no room, or the copy is not what was copied; the old file stands.
    """
    started, before = time.monotonic(), place.stat().st_size
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(mode=0o700, parents=True)
    try:
        _require_room(work, before)
        fresh = work / place.name
        _copy(place, fresh, memory_limit)
        settle(fresh, place)
    except OSError as error:
        raise JourneyflowError(
            f"Cannot compact {place}: {error.strerror or type(error).__name__}. The file is as it was; see that the "
            "disk has room for a second one."
        ) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    done = Compacted(before, place.stat().st_size)
    seconds = round(time.monotonic() - started, 3)
    tell(progress, "compacted", bytes_before=done.bytes_before, bytes_after=done.bytes_after, seconds=seconds)
    return done


def _require_room(folder: Path, byte_count: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < byte_count:
        raise InputError(
            f"Compacting needs room for a second warehouse: {byte_count >> 20:,} MiB, and {folder} has {free >> 20:,} "
            "MiB free. Make room, then try again."
        )


def _copy(place: Path, fresh: Path, memory_limit: str | None) -> None:
    # Neighbours stay neighbours, so that a scan of the newest events still skips the others.
    with DuckDBEngine(
        fresh,
        memory_limit=memory_limit,
        temp_folder=fresh.parent / "spill",
        attached={_OLD: place},
        is_ordered=True,
    ) as engine:
        engine.copy_from(_OLD)
        copied = _row_counts(engine)
    with DuckDBEngine(place, read_only=True, memory_limit=memory_limit) as old:
        if _row_counts(old) != copied:
            raise JourneyflowError(f"The copy of {place} holds other rows than the file; it stands as it was.")


def _row_counts(engine: DuckDBEngine) -> dict[str, int]:
    return {name: engine.count(name) for name in engine.tables()}
