"""Rebuild everything from the archived files."""

from __future__ import annotations

import shutil
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from journeyflow.engines import DuckDBEngine
from journeyflow.errors import EngineError
from journeyflow.ingest.raw_store import RawStore, RegistrySnapshot, read_snapshot, write_snapshot
from journeyflow.pipeline.load_phase import LoadResult, load_sources
from journeyflow.pipeline.run import Run, RunReport
from journeyflow.state.paths import WAREHOUSE
from journeyflow.state.warehouse import open_warehouse, settle_warehouse

if TYPE_CHECKING:
    from journeyflow.config import Config
    from journeyflow.utils.progress import Progress


DAMAGED = f"damaged-{WAREHOUSE}"
"""In the state folder: a warehouse that could not be opened, until another one was made."""


class RebuildResult(Run):
    """A night that lands what was landed before, and nothing else, in a new warehouse.

    Parameters
    ----------
    past : Past or None
        Files of another warehouse; None is of the project's own, or of the list beside the kept files.
    kept : Kept or None
        Where the copies lie; None is the project's own folder.
    **limits
        See `Night`.
    """

    def __init__(
        self,
        config: Config,
        *,
        past: RegistrySnapshot | None = None,
        raw_store: RawStore | None = None,
        **limits: Any,  # noqa: ANN401 — handed on
    ) -> None:
        super().__init__(config, full_refresh=True, **limits)
        self._past = past
        self._kept = raw_store or RawStore(config.state)

    def _land(self) -> LoadResult:
        """Land in a database beside the old one, which it replaces when every file was read."""
        fresh = self.work / WAREHOUSE
        with self._warehouse() as old:
            past = self._past or read_snapshot(old, self._kept)
        with open_warehouse(fresh, temp_folder=self.work / "spill", **self._limits) as warehouse:
            anew = (past, self._kept)
            loaded = load_sources(self.config, warehouse, self.run_id, self.as_of, self.progress, anew)
            if self._past is None:
                write_snapshot(warehouse, self._kept)
        settle_warehouse(fresh, self.config.state / WAREHOUSE)
        _remove(self.config.state, DAMAGED)
        return loaded

    def _begin(self) -> None:
        try:
            super()._begin()
        except EngineError:
            _move_aside(self.config.state)
            super()._begin()


def rebuild(
    config: Config,
    *,
    as_of: datetime | None = None,
    memory_limit: str | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> RunReport:
    """Make the warehouse and everything derived anew from the kept files, and publish.

    Parameters
    ----------
    config, as_of, memory_limit, threads, progress
        See `runner.Night`.

    Returns
    -------
    RunReport

    Raises
    ------
    InputError
        When a file is neither kept nor in the input; nothing is changed then.
    JourneyflowError
        Whatever else failed; the last generation is still served.

    References
    ----------
    `docs/adr/0024-raw-store.md`.
    """
    limits: dict[str, Any] = {"memory_limit": memory_limit, "threads": threads, "progress": progress}
    with RebuildResult(config, as_of=as_of, **limits) as run:
        return run.execute()


def snapshot_of(config: Config) -> RegistrySnapshot:
    """Return what the warehouse of a project knows of its files; call it while holding the lock.

    Raises
    ------
    InputError
        When nothing was ever loaded.
    """
    with open_warehouse(config.state / WAREHOUSE) as warehouse:
        return read_snapshot(warehouse, RawStore(config.state))


def _move_aside(state: Path) -> None:
    """Move a warehouse that cannot be opened away; it goes when another one was made."""
    place = state / WAREHOUSE
    with suppress(EngineError), DuckDBEngine(place, read_only=True):
        return  # What failed was something else.
    for name in (WAREHOUSE, f"{WAREHOUSE}.wal"):
        if (state / name).exists():
            (state / name).replace(state / f"damaged-{name}")


def _remove(folder: Path, name: str) -> None:
    for path in (folder / name, folder / f"{name}.wal"):
        path.unlink(missing_ok=True)


def scratch(config: Config) -> Path:
    """Return an empty private folder of the project for work that leaves nothing; runs clear it away if it stays."""
    folder = config.state / "work" / "scratch"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)
    return folder
