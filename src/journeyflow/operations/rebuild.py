"""Rebuild everything from archived records, verify by a rebuild, list and replay quarantined records."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from journeyflow.engines import DuckDBEngine
from journeyflow.erasure.apply import require_no_pending_erasure
from journeyflow.errors import DifferenceError, EngineError, InputError, LockedError, NotFoundError
from journeyflow.ingest.file_registry import FileRegistry, RegisteredFile
from journeyflow.ingest.files import RawStore, RegistrySnapshot, read_snapshot, write_snapshot
from journeyflow.ingest.load import is_available
from journeyflow.pipeline.load_phase import LoadResult, load_sources
from journeyflow.pipeline.run import Run, RunReport
from journeyflow.publish.reader import Manifest, read_manifest
from journeyflow.state.folder import holder, project_lock
from journeyflow.state.paths import WAREHOUSE, graph_of, rules_hash
from journeyflow.state.warehouse import clock_time, open_warehouse, replace_warehouse, transaction
from journeyflow.utils.formatting import escaped

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl
    import pyarrow as pa

    from journeyflow.config import Config
    from journeyflow.models import Model
    from journeyflow.utils.formatting import Progress


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


DISCOVERED = ("discovered_personas", "discovered_persona_features", "discovered_persona_overlaps")
ARRIVALS = ("load_audit", "runs", "restatements", "briefing", "audiences", "forecast_scores", *DISCOVERED)
"""Tables about the arrival of files or the run before, which differ between two load histories of the same events."""
ARRIVAL_SPOTS = ("quarantined", "late", "empty_input", "jumped_share")
"""The kinds of `blind_spots` about the arrival of files."""


@dataclass(frozen=True)
class Verification:
    """The tables that equal their rebuild, the sum of their rows, and the tables that were not compared."""

    run_id: str
    tables: tuple[str, ...]
    row_count: int
    not_compared: tuple[str, ...] = ARRIVALS


def verify(
    config: Config,
    *,
    memory_limit: str | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Verification:
    """Rebuild the current generation in a scratch folder and compare every published table with it.

    DifferenceError names the table, key and column of the first difference, never a value. InputError when the rules
    changed since, or a file is neither archived nor in the input; NotFoundError when nothing is published.
    """
    with project_lock(config.state):
        require_no_pending_erasure(config)
        generation = (config.publish / "current").resolve()
        manifest = read_manifest(generation)
        graph = graph_of(config)
        if manifest.config_hash != rules_hash(config, graph):
            raise InputError(
                "The configuration, a model or the version is another than that of the current generation, so figures "
                "may rightly differ. Run `journeyflow run`, then verify."
            )
        limits = {"as_of": manifest.high_water_at, "memory_limit": memory_limit, "threads": threads}
        folder = scratch(config)
        try:
            rebuilt = _rebuilt(config, manifest, folder, limits | {"progress": progress})
            models = [model for model in graph.published() if model.table not in ARRIVALS]
            rows = [compare_tables(model, _table(model, generation), _table(model, rebuilt)) for model in models]
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return Verification(manifest.run_id, tuple(model.table for model in models), sum(rows))


def _rebuilt(config: Config, manifest: Manifest, folder: Path, limits: dict[str, Any]) -> Path:
    snapshot = snapshot_of(config).known_to(manifest.run_id)
    scratch_config = config.model_copy(update={"state": folder / "state", "publish": folder / "published"})
    with RebuildRun(scratch_config, snapshot=snapshot, raw_store=RawStore(config.state), **limits) as run:
        return run.execute().generation


def _table(model: Model, generation: Path) -> pl.DataFrame:
    import polars as pl

    entry = read_manifest(generation).tables.get(model.table)
    if entry is None:
        raise NotFoundError(f"The current generation has no table {model.table}; publish again with `journeyflow run`.")
    rows = pl.read_parquet(generation / entry.file)
    return rows.filter(~pl.col("kind").is_in(ARRIVAL_SPOTS)) if model.table == "blind_spots" else rows


def compare_tables(model: Model, published: pl.DataFrame, rebuilt: pl.DataFrame) -> int:
    """Compare one table with its rebuild, both in the order of the model's key; return the number of rows."""
    if published.equals(rebuilt, null_equal=True):
        return published.height
    if published.schema != rebuilt.schema:
        raise DifferenceError(
            f"{model.table} has other columns than a rebuild gives it. Publish again: journeyflow run"
        )
    place, key, what = _first_difference(list(model.grain or ()), published, rebuilt)
    where = f"at {key}" if model.grain else f"in row {place + 1}"
    raise DifferenceError(
        f"A rebuild differs in {model.table} {where}: {what}. "
        "`journeyflow rebuild` publishes what the archived records and the rules give."
    )


def _first_difference(keys: list[str], published: pl.DataFrame, rebuilt: pl.DataFrame) -> tuple[int, str, str]:
    import polars as pl

    on = keys or ["_row"]
    if not keys:
        published, rebuilt = (side.with_row_index("_row") for side in (published, rebuilt))
    sides = (
        published.with_columns(pl.lit(True).alias("_published")),
        rebuilt.with_columns(pl.lit(True).alias("_rebuilt")),
    )
    both = sides[0].join(sides[1], on=on, how="full", nulls_equal=True, coalesce=True, suffix="_again").sort(on)
    columns = [name for name in published.columns if name not in on]
    for place, row in enumerate(both.iter_rows(named=True)):
        key = escaped(json.dumps({name: row[name] for name in keys}, default=str))
        if not row["_rebuilt"] or not row["_published"]:
            return place, key, f"the row is {'not rebuilt' if row['_published'] else 'not published'}"
        for name in columns:
            if not _is_same(row[name], row[f"{name}_again"]):
                return place, key, f"column {name}"
    return 0, "", "the order of the rows"


def _is_same(left: object, right: object) -> bool:
    return left == right or (left != left and right != right)  # NaN is not equal to itself.


PEOPLE = "people"
"""Source name of the files of traits."""
SPEND = "spend"
"""Source name of the files of spend."""

_SOURCE = "coalesce(files.source, case quarantine.file_ix when -1 then 'spend' else 'people' end)"
_FOUND = f"""
    select {_SOURCE} as source, quarantine.source_file, quarantine.source_row,
        quarantine.reason, quarantine.detail, quarantine.raw
    from raw.quarantine as quarantine
    left join ledger.files as files on files.file_ix = quarantine.file_ix
    where ($1 is null or {_SOURCE} = $1) and ($2 is null or quarantine.reason = $2)
"""
_COUNTED = f"""
    select source, source_file, reason, count(*) as row_count, min(source_row) as first_row, max(source_row) as last_row
    from ({_FOUND}) group by source, source_file, reason order by source, source_file, reason
"""
_LISTED = f"""
    select source, source_file, source_row, reason, detail, raw from ({_FOUND})
    order by source, source_file, source_row, reason, raw
"""


@dataclass(frozen=True)
class Replay:
    """A source whose files the next run reads again, with its number of matching quarantined rows."""

    source: str
    file_count: int
    row_count: int


def quarantined(
    config: Config, source: str | None = None, reason: str | None = None, *, with_rows: bool = False
) -> pa.Table:
    """Return the quarantine, restricted to a source (`people` for traits) and a reason.

    Grain: source, source_file, reason, with row_count, first_row and last_row; `with_rows` returns one row per record
    instead, with source_row, reason, detail and raw, which hold personal data. Sorted by these columns.
    """
    path = config.state / WAREHOUSE
    if holder(config.state):
        raise LockedError("A run is going on and holds the warehouse. Ask again when it has ended.")
    if not path.exists():
        raise NotFoundError(f"Nothing was loaded yet: there is no {path}. Run `journeyflow run` first.")
    with DuckDBEngine(path, read_only=True) as warehouse:
        return warehouse.rows(_LISTED if with_rows else _COUNTED, [source, reason])


def replay(config: Config, source: str | None = None, reason: str | None = None) -> tuple[Replay, ...]:
    """Have the next run read all files again of the sources that have such rows in quarantine.

    Whole sources are read, because one row may change which version of an event counts; accepted events keep their ids.
    Records that were in the future are validated against the present time: the machine's clock may have been wrong.
    InputError when a file of such a source is missing: its events would be lost.
    """
    with project_lock(config.state), open_warehouse(config.state / WAREHOUSE) as warehouse:
        found = warehouse.rows(_COUNTED, [source, reason]).to_pylist()
        names = [name for name in dict.fromkeys(row["source"] for row in found) if name in config.sources]
        if not names:
            raise NotFoundError("No row in quarantine fits. See what there is with `journeyflow quarantine list`.")
        replays = []
        for name in names:
            files = _files(warehouse, name)
            _require_files(config, name, files)
            replays.append(Replay(name, len(files), sum(row["row_count"] for row in found if row["source"] == name)))
        with transaction(warehouse):
            for name in names:
                # No settings have an empty hash, so the next run reads the source's files again.
                warehouse.execute("update ledger.files set settings_hash = '' where source = ? and is_loaded", [name])
                _reset_first_load(warehouse, name)
        return tuple(replays)


def _reset_first_load(warehouse: DuckDBEngine, source: str) -> None:
    """Set the first load of files with records of the future to now, for this replay and every rebuild."""
    warehouse.execute(
        "update ledger.files set first_loaded_at = greatest(first_loaded_at, ?) where source = ? and is_loaded "
        "and file_ix in (select file_ix from raw.quarantine where reason = 'future')",
        [clock_time(), source],
    )


def _files(warehouse: DuckDBEngine, source: str) -> list[RegisteredFile]:
    known = FileRegistry(warehouse, "", 0).files()
    return [file for file in known if file.source == source and file.is_loaded and not file.is_empty]


def _require_files(config: Config, source: str, files: Sequence[RegisteredFile]) -> None:
    if gone := sorted(file.source_file for file in files if not is_available(config, file)):
        raise InputError(
            f"Source {source}: to try its rows again all its files must be read, but {', '.join(gone[:5])} is no "
            "longer there. Put it back first."
        )
