"""The warehouse database: schema migrations, transactions, compaction, and the run log."""

from __future__ import annotations

import re
import shutil
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib import resources
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from journeyflow.engines import DuckDBEngine
from journeyflow.errors import EngineError, InputError, JourneyflowError
from journeyflow.state.folder import project_lock
from journeyflow.state.paths import WAREHOUSE
from journeyflow.utils.files import sync
from journeyflow.utils.formatting import Progress, silent, tell

if TYPE_CHECKING:
    import pyarrow as pa

    from journeyflow.config import Config


@contextmanager
def transaction(warehouse: DuckDBEngine) -> Iterator[None]:
    """Commit the changes of the block if it succeeds, else roll them back."""
    warehouse.execute("begin transaction")
    try:
        yield
    except BaseException:
        warehouse.execute("rollback")
        raise
    warehouse.execute("commit")


@cache
def migrations() -> Mapping[int, str]:
    """Return the migrations `sql/schema/<number>_<name>.sql` by number; a new warehouse goes through all of them.

    `docs/adr/0027-warehouse-maintenance.md` says what a migration may contain.
    """
    folder = resources.files("journeyflow.state").joinpath("sql", "schema")
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    return {int(file.name.split("_", 1)[0]): file.read_text(encoding="utf-8") for file in files}


def newest_version() -> int:
    """Return the newest schema version."""
    return max(migrations())


def schema_version(warehouse: DuckDBEngine) -> int:
    """Return the schema version of a warehouse; 0 where there is none yet."""
    if not warehouse.columns("ledger.schema_version"):
        return 0
    found = warehouse.rows("select coalesce(max(version), 0) as version from ledger.schema_version")
    return int(found["version"][0].as_py())


def upgrade(warehouse: DuckDBEngine) -> None:
    """Apply the missing migrations in order, each in one transaction with its number.

    A killed run leaves an older schema, from which the next run continues. InputError when a newer version of
    journeyflow wrote the warehouse.
    """
    version = schema_version(warehouse)
    if version > newest_version():
        raise InputError(
            f"The warehouse was written by a newer journeyflow (schema {version}, this one knows {newest_version()}); "
            "install the newer version."
        )
    for number, statements in migrations().items():
        if number > version:
            _migrate(warehouse, number, statements)


def _migrate(warehouse: DuckDBEngine, number: int, statements: str) -> None:
    try:
        with transaction(warehouse):
            warehouse.execute(statements)
            warehouse.execute("delete from ledger.schema_version")
            warehouse.execute("insert into ledger.schema_version values (?)", [number])
    except EngineError as error:
        raise EngineError(
            f"The warehouse could not be brought to schema {number}: {error.message} It is as it was before."
        ) from error


def open_warehouse(
    path: Path | None = None,
    *,
    memory_limit: str = "1GB",
    threads: int | None = None,
    temp_folder: Path | None = None,
) -> DuckDBEngine:
    """Open the warehouse for writing, created or migrated where needed; None is in memory.

    InputError when a newer version of journeyflow wrote it or it is world-writable.
    """
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.stat().st_mode & stat.S_IWOTH:
            raise InputError(
                f"Everybody may write to the warehouse {path}, and so change every figure: chmod o-w {path}"
            )
    try:
        warehouse = DuckDBEngine(path, memory_limit=memory_limit, threads=threads, temp_folder=temp_folder)
    except EngineError as error:
        if not any(sign in error.message for sign in ("IO Error", "Serialization Error", "INTERNAL Error")):
            raise
        raise EngineError(
            f"{error.message} If it is damaged, put a copy of it back, or move it away: the next run then reads all "
            "files of the sources again."
        ) from error
    try:
        upgrade(warehouse)
        warehouse.execute(packaged_sql("views"))
        warehouse.execute(packaged_sql("privacy"))
        warehouse.execute(packaged_sql("identifiers"))
    except BaseException:
        warehouse.close()
        raise
    return warehouse


def clear_raw_events(warehouse: DuckDBEngine) -> None:
    """Delete all raw events for a full rebuild; the registry keeps the times of first loads."""
    for table in ("raw.events", "raw.traits", "raw.spend", "raw.quarantine"):
        warehouse.execute(f"delete from {table}")
    warehouse.execute("update ledger.files set is_loaded = false")


def packaged_sql(name: str) -> str:
    """Return the text of a statement of the folder `sql` beside this module."""
    return resources.files("journeyflow.state").joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")


FREE_SHARE = 0.5
"""Share of free blocks from which a run compacts the warehouse."""
LEAST_BYTES = 64 << 20
"""A run does not compact a warehouse below this size."""
_OLD = "old"


@dataclass(frozen=True)
class CompactionResult:
    """The sizes of the file before and after, in bytes."""

    bytes_before: int
    bytes_after: int


def compact(config: Config, *, memory_limit: str | None = None, progress: Progress = silent) -> CompactionResult:
    """Compact the warehouse of a project under its lock; the old file remains when that fails."""
    place = config.state / WAREHOUSE
    if not place.exists():
        raise InputError(f"There is no {place}: nothing was loaded yet. Run `journeyflow run` first.")
    with project_lock(config.state):
        open_warehouse(place).close()  # Migrates the schema and merges the write-ahead log.
        return rewrite_warehouse(place, config.state / "work" / "compact", memory_limit=memory_limit, progress=progress)


def compact_if_worthwhile(place: Path, work: Path, progress: Progress = silent) -> None:
    """Compact a closed warehouse when half of a large file is free; call it while holding the lock.

    A failure does not fail the run: the file stays as it is, and `doctor` reports it.
    """
    with suppress(JourneyflowError, OSError):
        if place.stat().st_size >= LEAST_BYTES and free_share(place) >= FREE_SHARE:
            rewrite_warehouse(place, work, progress=progress)


def free_share(place: Path) -> float:
    """Return the share of free blocks of a database file."""
    with DuckDBEngine(place, read_only=True, threads=1) as engine:
        total, free = engine.blocks()
    return free / total if total else 0.0


def rewrite_warehouse(
    place: Path, work: Path, *, memory_limit: str | None = None, progress: Progress = silent
) -> CompactionResult:
    """Copy the closed database `place` into a new file, in the folder `work`, and replace it.

    Deleted rows are not copied. A killed process leaves the complete old or new file.
    """
    started, before = time.monotonic(), place.stat().st_size
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(mode=0o700, parents=True)
    try:
        _require_room(work, before)
        fresh = work / place.name
        _copy_database(place, fresh, memory_limit)
        replace_warehouse(fresh, place)
    except OSError as error:
        raise JourneyflowError(
            f"Cannot compact {place}: {error.strerror or type(error).__name__}. The file is as it was; see that the "
            "disk has room for a second one."
        ) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    done = CompactionResult(before, place.stat().st_size)
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


def _copy_database(place: Path, fresh: Path, memory_limit: str | None) -> None:
    # The order of rows stays, so that a scan of the newest events still skips the others.
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


def replace_warehouse(fresh: Path, place: Path) -> None:
    """Replace the closed database `place` by the closed database `fresh`."""
    sync(fresh)
    # The new file could not be opened beside the write-ahead log of the old one.
    place.with_name(f"{place.name}.wal").unlink(missing_ok=True)
    fresh.replace(place)
    sync(place.parent)


ALERT_KINDS = ("silent_source", "empty_input", "jumped_share")
"""Kinds of `blind_spots` whose critical rows are alerts; the others last from run to run and stay in the table."""
FAILURE = "failure"
"""The kind under which a failed run keeps its reason beside the alerts of runs that published."""
_ID_FORM = "%Y%m%dT%H%M%S%f"
_ID = re.compile(r"\d{8}T\d{12}")


@dataclass(frozen=True)
class RunRow:
    """One run; times are naive UTC, None while unknown."""

    run_id: str
    started_at: datetime
    config_hash: str
    version: str
    status: str = "running"
    finished_at: datetime | None = None
    high_water_at: datetime | None = None
    event_count: int | None = None
    elapsed_seconds: float | None = None
    alarm_count: int | None = None
    began: float = field(default_factory=time.perf_counter)

    def table(self) -> pa.Table:
        """Return the row as a table of one row."""
        import pyarrow as pa

        return pa.Table.from_pylist([vars(self)], schema=runs_schema())

    def ended(self, status: str) -> RunRow:
        """Return the row of the run as it ends now."""
        # The wall clock may be set back meanwhile; the performance counter is not.
        elapsed = time.perf_counter() - self.began
        finished = self.started_at + timedelta(seconds=elapsed)
        return replace(self, status=status, finished_at=finished, elapsed_seconds=round(elapsed, 6))


def runs_schema() -> pa.Schema:
    """Return the columns of `ledger.runs`."""
    from journeyflow.models.model import arrow_schema

    return arrow_schema("ledger.runs")


def clock_time() -> datetime:
    """Return the present instant as naive UTC."""
    return datetime.now(UTC).replace(tzinfo=None)


def begin_run(warehouse: DuckDBEngine, generations: Path, config_hash: str) -> RunRow:
    """Close interrupted runs and record that a run begins; the caller holds the lock.

    Its id is the present time, or just after the latest id where the clock was set back: ids are unique and sort in the
    order of the runs, whatever the clock does.
    """
    close_interrupted(warehouse, generations)
    known = warehouse.rows("select run_id from ledger.runs").column(0).to_pylist()
    if generations.is_dir():  # A new warehouse, after the old one was lost, does not contain them.
        known += [path.name for path in generations.iterdir()]
    started = clock_time()
    row = RunRow(next_run_id(known, started), started, config_hash, version("journeyflow"))
    write_run(warehouse, row)
    return row


LEAST_JUMP = timedelta(days=7)
"""A pause between two runs that is never taken for a wrong clock."""
JUMP_RATIO = 3
"""A pause of more than this many times the usual one is."""
_RECENT_RUNS = 11


def clock_jumped_from(warehouse: DuckDBEngine, run_id: str, at: datetime) -> datetime | None:
    """Return when the run before `run_id` began if `at` is so far from it that the clock may be ahead, else None.

    A pause is far above the usual one, the median of those between the latest runs, and above `LEAST_JUMP`: a schedule
    of once a month is no jump from its third run on.
    """
    if not warehouse.columns("ledger.runs"):
        return None
    query = f"select started_at from ledger.runs where run_id < ? order by run_id desc limit {_RECENT_RUNS}"
    starts = [row["started_at"] for row in warehouse.rows(query, [run_id]).to_pylist()]
    if not starts:
        return None
    pauses = sorted(later - earlier for later, earlier in pairwise(starts))
    usual = pauses[len(pauses) // 2] if pauses else timedelta(0)
    return starts[0] if at - starts[0] > max(LEAST_JUMP, JUMP_RATIO * usual) else None


def next_run_id(known: Iterable[str], started: datetime) -> str:
    """Return the id of a run that starts now: the present time, or just after the latest of the ids `known`."""
    latest = max((each for each in known if _ID.fullmatch(each)), default="")
    own = started.strftime(_ID_FORM)
    if own > latest:
        return own
    return (datetime.strptime(latest, _ID_FORM) + timedelta(microseconds=1)).strftime(_ID_FORM)


def write_run(warehouse: DuckDBEngine, row: RunRow) -> None:
    """Insert `row`, replacing an earlier row of the same run."""
    warehouse.append("ledger.runs", runs_schema().empty_table())
    warehouse.execute("delete from ledger.runs where run_id = ?", [row.run_id])
    warehouse.append("ledger.runs", row.table())


def close_interrupted(warehouse: DuckDBEngine, generations: Path) -> None:
    """Close the rows of killed runs: published when the generation exists, else failed; the caller holds the lock."""
    warehouse.append("ledger.runs", runs_schema().empty_table())
    left = warehouse.rows("select run_id from ledger.runs where status = 'running'").column(0).to_pylist()
    for run_id in left:
        status = "published" if (generations / run_id).is_dir() else "failed"
        warehouse.execute("update ledger.runs set status = ? where run_id = ?", [status, run_id])
