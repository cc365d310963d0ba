"""Rebuild everything from the archived records."""

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
from journeyflow.state.warehouse import open_warehouse, replace_warehouse

if TYPE_CHECKING:
    from journeyflow.config import Config
    from journeyflow.utils.progress import Progress


DAMAGED = f"damaged-{WAREHOUSE}"
"""In the state folder: a warehouse that could not be opened, until it is replaced."""


class RebuildRun(Run):
    """A run that reloads the files that were loaded before, and no others, into a new warehouse.

    `snapshot` and `raw_store` are those of another project; by default the project's own.
    """

    def __init__(
        self,
        config: Config,
        *,
        snapshot: RegistrySnapshot | None = None,
        raw_store: RawStore | None = None,
        **limits: Any,  # noqa: ANN401 — handed on
    ) -> None:
        super().__init__(config, full_refresh=True, **limits)
        self._snapshot = snapshot
        self._raw_store = raw_store or RawStore(config.state)

    def _load_sources(self) -> LoadResult:
        """Load into a database beside the old one, which it replaces once every file is read."""
        fresh = self.work / WAREHOUSE
        with self._warehouse() as old:
            snapshot = self._snapshot or read_snapshot(old, self._raw_store)
        with open_warehouse(fresh, temp_folder=self.work / "spill", **self._limits) as warehouse:
            archived = (snapshot, self._raw_store)
            loaded = load_sources(self.config, warehouse, self.run_id, self.as_of, self.progress, archived)
            if self._snapshot is None:
                write_snapshot(warehouse, self._raw_store)
        replace_warehouse(fresh, self.config.state / WAREHOUSE)
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
    """Rebuild the warehouse and everything derived from the archived records, and publish.

    InputError, without any change, when a file is neither archived nor in the input. See `docs/adr/0024-raw-store.md`.
    """
    limits: dict[str, Any] = {"memory_limit": memory_limit, "threads": threads, "progress": progress}
    with RebuildRun(config, as_of=as_of, **limits) as run:
        return run.execute()


def snapshot_of(config: Config) -> RegistrySnapshot:
    """Return the registry snapshot of a project; call it while holding the lock."""
    with open_warehouse(config.state / WAREHOUSE) as warehouse:
        return read_snapshot(warehouse, RawStore(config.state))


def _move_aside(state: Path) -> None:
    """Rename a warehouse that cannot be opened; it is removed once it is replaced."""
    place = state / WAREHOUSE
    with suppress(EngineError), DuckDBEngine(place, read_only=True):
        return  # The failure has another cause.
    for name in (WAREHOUSE, f"{WAREHOUSE}.wal"):
        if (state / name).exists():
            (state / name).replace(state / f"damaged-{name}")


def _remove(folder: Path, name: str) -> None:
    for path in (folder / name, folder / f"{name}.wal"):
        path.unlink(missing_ok=True)


def scratch(config: Config) -> Path:
    """Return an empty private folder of the project for temporary work; the next run removes it if it stays."""
    folder = config.state / "work" / "scratch"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)
    return folder
