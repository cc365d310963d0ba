"""Diagnose the installation, the state folder, the warehouse and the published tables; read-only."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from journeyflow.engines import DuckDBEngine
from journeyflow.erasure.journal import pending_erasure
from journeyflow.errors import EngineError, JourneyflowError
from journeyflow.ingest.file_registry import FileRegistry
from journeyflow.ingest.load import is_over
from journeyflow.ingest.raw_store import RawStore
from journeyflow.state import lock, run_log
from journeyflow.state.inventory import WORK, foreign, private_paths, writable_by_all
from journeyflow.state.paths import BUILD, WAREHOUSE, graph_of
from journeyflow.state.warehouse import newest_version, schema_version
from journeyflow.utils import files
from journeyflow.utils.formatting import escaped

if TYPE_CHECKING:
    from journeyflow.config import Config
    from journeyflow.publish import Manifest


LIBRARIES = ("journeyflow", "duckdb", "pyarrow", "polars", "numba", "pydantic", "sqlglot")
LEAST_FREE_BYTES = 1 << 30
MOST_NAMED = 3
"""Paths that a finding names."""
_MEBIBYTE = 1 << 20
_EXTENSIONS = "select timezone('Europe/Berlin', timestamp '2026-01-01') as zoned, json_valid('{}') as is_json"


@dataclass(frozen=True)
class Diagnosis:
    """One thing that was looked at: how it is, and what to do where it is not well."""

    subject: str
    severity: Literal["ok", "warning", "error"]
    detail: str


Diagnoses = Iterator[Diagnosis]


def examine(config: Config) -> list[Diagnosis]:
    """Look at everything that a night needs and at everything it left.

    Parameters
    ----------
    config : Config
        The project.

    Returns
    -------
    list of Finding
        In a fixed order. While a run is going on the warehouse is left alone, and a finding says so.
    """
    parts: list[Callable[[Config], Diagnoses]] = [
        _installation,
        _models,
        _permissions,
        _unknown_files,
        _warehouse,
        _build,
    ]
    parts += [_erasure, _publication, _space]
    return [finding for part in parts for finding in part(config)]


def _installation(config: Config) -> Diagnoses:
    del config
    try:
        found = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    except PackageNotFoundError as error:
        yield Diagnosis("installation", "error", f"{error.name} is not installed; install journeyflow again")
        return
    try:
        with DuckDBEngine(threads=1) as engine:
            engine.rows(_EXTENSIONS)
    except EngineError as error:
        yield Diagnosis("installation", "error", f"DuckDB cannot do what a night needs: {error.message}")
        return
    yield Diagnosis("installation", "ok", f"Python {platform.python_version()}, {found}")


def _models(config: Config) -> Diagnoses:
    try:
        graph = graph_of(config)
    except JourneyflowError as error:
        yield Diagnosis("models", "error", error.message)
        return
    own = sum(model.is_own for model in graph)
    yield Diagnosis("models", "ok", f"{len(graph.models)} models of {files.sql_folder()}, {own} of them your own")


def _permissions(config: Config) -> Diagnoses:
    """Whoever can write to the warehouse or the key can change figures; whoever can read them knows the people."""
    modes = private_paths(config)
    is_hidden = config.state in modes and not modes[config.state] & 0o077
    open_to_all = writable_by_all(modes)
    readable = [
        path for path, mode in modes.items() if mode & 0o077 and not (is_hidden and config.state in path.parents)
    ]
    for path in open_to_all[:MOST_NAMED]:
        yield Diagnosis("permissions", "error", f"everybody may write to {path}: chmod o-w {path}")
    if readable and not open_to_all:
        yield Diagnosis("permissions", "warning", f"other users may read {readable[0]}: chmod -R go= {config.state}")
    if not modes:
        yield Diagnosis("permissions", "ok", f"{config.state} is not there yet; the first run makes it")
    elif not readable and not open_to_all:
        yield Diagnosis("permissions", "ok", f"{config.state} is private")
    for folder in (config.state, config.publish):
        if folder.exists() and not os.access(folder, os.W_OK | os.X_OK):
            yield Diagnosis("permissions", "error", f"this user may not write to {folder}")


def _unknown_files(config: Config) -> Diagnoses:
    """Nothing of ours reads them, but who put them there can write where the people's data is."""
    found = foreign(config)
    if found:
        named = ", ".join(escaped(path.relative_to(config.state)) for path in found[:MOST_NAMED])
        detail = f"{len(found)} things that are not of journeyflow in {config.state}: {named}. Move them away"
        yield Diagnosis("foreign files", "warning", detail)
    left = config.state / WORK
    if left.is_dir() and not lock.holder(config.state):
        yield Diagnosis("work", "warning", f"{left} is of a run that was killed; the next one removes it")


def _warehouse(config: Config) -> Diagnoses:
    path = config.state / WAREHOUSE
    if lock.holder(config.state):
        yield Diagnosis("warehouse", "ok", "a run is going on and holds it; ask again when it has ended")
    elif not path.exists():
        yield Diagnosis("warehouse", "ok", "nothing is loaded yet")
    else:
        try:
            with DuckDBEngine(path, read_only=True) as warehouse:
                if (version := schema_version(warehouse)) > newest_version():
                    detail = f"{path} was written by a newer journeyflow (schema {version}); install that version"
                    yield Diagnosis("warehouse", "error", detail)
                    return
                yield from _accounts(warehouse, path)
                yield from _kept(config, warehouse)
        except EngineError as error:
            remedy = "move it away, and the next run reads all files anew; or put a copy of it back"
            yield Diagnosis("warehouse", "error", f"{error.message} {remedy}")


_UNSETTLED = """
    select count(*) as n from ledger.loads
    where record_count <> accepted_count + quarantined_count + duplicate_count + filtered_count + erased_count
"""
_UNEXPECTED = "select count(*) as n from raw.events where file_ix not in (select file_ix from ledger.files)"


def _accounts(warehouse: DuckDBEngine, path: Path) -> Diagnoses:
    files = warehouse.count("ledger.files", "is_loaded")
    events = warehouse.count("raw.events")
    wrong = [int(warehouse.rows(query)["n"][0].as_py()) for query in (_UNSETTLED, _UNEXPECTED)]
    if any(wrong):
        detail = f"{wrong[0]} files whose records do not add up, {wrong[1]:,} events of no known file; rebuild it"
        yield Diagnosis("warehouse", "error", f"{path} is inconsistent: {detail}")
    else:
        size, version = path.stat().st_size // _MEBIBYTE, schema_version(warehouse)
        known = "" if version == newest_version() else f", which the next run brings to {newest_version()}"
        held = f"{events:,} events of {files:,} files, {size:,} MiB; all records accounted for"
        yield Diagnosis("warehouse", "ok", f"{held}; schema {version}{known}")


def _kept(config: Config, warehouse: DuckDBEngine) -> Diagnoses:
    """Without its copy a file can be rebuilt only while the input still has it."""
    kept, now = RawStore(config.state), run_log.now()
    landed = [file for file in FileRegistry(warehouse, "", 0).files() if file.is_loaded]
    wanted = [file for file in landed if not is_over(config, file.source, file.first_loaded_at, now)]
    missing = [file.source_file for file in wanted if not file.is_empty and not kept.path(file.copy_sha256)]
    if missing:
        detail = f"{len(missing):,} of {len(wanted):,} files have no copy, the first {escaped(missing[0])}; "
        yield Diagnosis("kept files", "warning", f"{detail}while the input has them, the next run keeps one")


def _erasure(config: Config) -> Diagnoses:
    if pending_erasure(config.state):
        yield Diagnosis("erasure", "warning", "one was begun and is not done; `journeyflow run` completes it")


def _build(config: Config) -> Diagnoses:
    path = config.state / BUILD
    if not path.exists():
        return
    try:
        with DuckDBEngine(path, read_only=True):
            yield Diagnosis("last build", "ok", f"{path.stat().st_size // _MEBIBYTE:,} MiB")
    except EngineError as error:
        yield Diagnosis("last build", "error", f"{error.message} `explain` needs it; the next run makes it anew")


def _publication(config: Config) -> Diagnoses:
    from journeyflow.publish import read_manifest

    current = config.publish / "current"
    if not current.is_symlink():
        if current.exists():
            yield Diagnosis("published", "error", f"{current} is no link, and no run can publish: move it away")
        else:
            yield Diagnosis("published", "ok", "nothing is published yet")
        return
    folder = current.resolve()
    if folder.parent != (config.publish / "generations").resolve() or not folder.is_dir():
        yield Diagnosis(
            "published", "error", f"{current} leads to no generation of this project; run `journeyflow run`"
        )
        return
    try:
        manifest = read_manifest(folder)
    except JourneyflowError as error:
        yield Diagnosis("published", "error", error.message)
        return
    wrong = [*_changed_files(folder, manifest), *_other_counts(folder, manifest)]
    if wrong:
        yield Diagnosis("published", "error", f"{folder}: {'; '.join(wrong)}. Run `journeyflow run` to publish anew")
    else:
        detail = f"run {manifest.run_id}, {len(manifest.tables)} tables, every file as the manifest says"
        yield Diagnosis("published", "ok", detail)
    yield from _leftovers(config.publish / "generations")


def _changed_files(folder: Path, manifest: Manifest) -> Iterator[str]:
    from journeyflow.utils.files import sha256

    listed = {entry.file: entry.sha256 for entry in manifest.tables.values()}
    listed |= {name: entry.sha256 for name, entry in manifest.files.items()}
    for name, known in listed.items():
        path = folder / name
        if not path.is_file():
            yield f"{name} is missing"
        elif sha256(path) != known:
            yield f"{name} was changed after it was published"


def _other_counts(folder: Path, manifest: Manifest) -> Iterator[str]:
    try:
        with DuckDBEngine(folder / "marts.duckdb", read_only=True, is_sealed=True) as marts:
            for table, entry in manifest.tables.items():
                if (count := marts.count(table)) != entry.row_count:
                    yield f"marts.duckdb has {count:,} rows of {table}, the manifest {entry.row_count:,}"
    except EngineError as error:
        yield error.message.removesuffix(".")


def _leftovers(generations: Path) -> Diagnoses:
    left = [path.name for path in generations.iterdir() if path.name.startswith(".")]
    if left:
        detail = f"{len(left)} unfinished in {generations}, of a run that was killed; the next one removes it"
        yield Diagnosis("generations", "warning", detail)


def _space(config: Config) -> Diagnoses:
    """A night writes a build of about the warehouse's size, and another generation, before it removes the old ones."""
    for folder in dict.fromkeys((config.state, config.publish)):
        there = next(path for path in (folder, *folder.parents) if path.exists())
        free = shutil.disk_usage(there).free
        used = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
        wanted = max(LEAST_FREE_BYTES, 2 * used)
        said = f"{free // _MEBIBYTE:,} MiB free for {folder}, which holds {used // _MEBIBYTE:,} MiB"
        if free < wanted:
            yield Diagnosis("free space", "warning", f"{said}; a night may need {wanted // _MEBIBYTE:,} MiB")
        else:
            yield Diagnosis("free space", "ok", said)
