"""Verify: compare the published tables with a rebuild."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from journeyflow.erasure.apply import require_no_pending_erasure
from journeyflow.errors import DifferenceError, InputError, NotFoundError
from journeyflow.ingest.raw_store import RawStore
from journeyflow.operations.rebuild import RebuildRun, scratch, snapshot_of
from journeyflow.publish.manifest import Manifest, read_manifest
from journeyflow.state.lock import project_lock
from journeyflow.state.paths import graph_of, rules_hash
from journeyflow.utils.formatting import escaped

if TYPE_CHECKING:
    import polars as pl

    from journeyflow.config import Config
    from journeyflow.models import Model
    from journeyflow.utils.progress import Progress


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
