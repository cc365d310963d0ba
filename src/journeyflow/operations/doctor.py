"""Diagnose the installation, the state folder, the warehouse and the published tables, read-only; warm-up."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from journeyflow.config import load_config
from journeyflow.engines import DuckDBEngine
from journeyflow.erasure.apply import pending_erasure
from journeyflow.errors import EngineError, JourneyflowError
from journeyflow.ingest.archive import RecordArchive
from journeyflow.ingest.file_registry import FileRegistry
from journeyflow.ingest.files import RawStore
from journeyflow.ingest.load import is_over
from journeyflow.operations.status import last_failure
from journeyflow.pipeline.run import Run
from journeyflow.publish.reader import Manifest, read_manifest
from journeyflow.state.folder import WORK, foreign, holder, private_paths, writable_by_all
from journeyflow.state.paths import BUILD, WAREHOUSE, graph_of
from journeyflow.state.warehouse import clock_time, newest_version, schema_version
from journeyflow.utils.files import sha256, sql_folder
from journeyflow.utils.formatting import escaped

if TYPE_CHECKING:
    from journeyflow.config import Config
    from journeyflow.utils.formatting import Progress


LIBRARIES = ("journeyflow", "duckdb", "pyarrow", "polars", "numba", "pydantic", "sqlglot")
LEAST_FREE_BYTES = 1 << 30
MOST_NAMED = 3
"""Paths that one diagnosis names."""
_MEBIBYTE = 1 << 20
_EXTENSIONS = "select timezone('Europe/Berlin', timestamp '2026-01-01') as zoned, json_valid('{}') as is_json"


@dataclass(frozen=True)
class Diagnosis:
    """The result of one check; `detail` of a warning or error includes the remedy."""

    subject: str
    severity: Literal["ok", "warning", "error"]
    detail: str


Diagnoses = Iterator[Diagnosis]


def examine(config: Config) -> list[Diagnosis]:
    """Return the diagnoses of a project, in a fixed order. The warehouse is not checked while a run holds it."""
    checks: tuple[Callable[[Config], Diagnoses], ...] = (
        lambda _: _installation(),
        _models,
        _permissions,
        _unknown_files,
        _warehouse,
        _build,
        _erasure,
        _publication,
        _space,
    )
    return [diagnosis for check in checks for diagnosis in check(config)]


def _installation() -> Diagnoses:
    try:
        found = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    except PackageNotFoundError as error:
        yield Diagnosis("installation", "error", f"{error.name} is not installed; reinstall journeyflow")
        return
    try:
        with DuckDBEngine(threads=1) as engine:
            engine.rows(_EXTENSIONS)
    except EngineError as error:
        yield Diagnosis("installation", "error", f"DuckDB lacks a required extension: {error.message}")
        return
    yield Diagnosis("installation", "ok", f"Python {platform.python_version()}, {found}")


def _models(config: Config) -> Diagnoses:
    try:
        graph = graph_of(config)
    except JourneyflowError as error:
        yield Diagnosis("models", "error", error.message)
        return
    own = sum(model.is_own for model in graph)
    yield Diagnosis("models", "ok", f"{len(graph.models)} models of {sql_folder()}, {own} of them user-defined")


def _permissions(config: Config) -> Diagnoses:
    """Check that other users can neither change figures, by writing, nor read personal data."""
    modes = private_paths(config)
    is_hidden = config.state in modes and not modes[config.state] & 0o077
    open_to_all = writable_by_all(modes)
    readable = [
        path for path, mode in modes.items() if mode & 0o077 and not (is_hidden and config.state in path.parents)
    ]
    for path in open_to_all[:MOST_NAMED]:
        yield Diagnosis("permissions", "error", f"all users may write to {path}: chmod o-w {path}")
    if readable and not open_to_all:
        yield Diagnosis("permissions", "warning", f"other users may read {readable[0]}: chmod -R go= {config.state}")
    if not modes:
        yield Diagnosis("permissions", "ok", f"{config.state} does not exist yet; the first run creates it")
    elif not readable and not open_to_all:
        yield Diagnosis("permissions", "ok", f"{config.state} is private")
    for folder in (config.state, config.publish):
        if folder.exists() and not os.access(folder, os.W_OK | os.X_OK):
            yield Diagnosis("permissions", "error", f"this user may not write to {folder}")


def _unknown_files(config: Config) -> Diagnoses:
    """Report files that no run wrote: their author has write access to personal data."""
    found = foreign(config)
    if found:
        named = ", ".join(escaped(path.relative_to(config.state)) for path in found[:MOST_NAMED])
        detail = f"{len(found)} unknown files in {config.state}: {named}. Move them away"
        yield Diagnosis("unknown files", "warning", detail)
    work = config.state / WORK
    if work.is_dir() and not holder(config.state):
        yield Diagnosis("work", "warning", f"{work} remains of a killed run; the next run removes it")


def _warehouse(config: Config) -> Diagnoses:
    path = config.state / WAREHOUSE
    if holder(config.state):
        yield Diagnosis("warehouse", "ok", "not checked while a run is active")
    elif not path.exists():
        yield Diagnosis("warehouse", "ok", "nothing is loaded yet")
    else:
        try:
            with DuckDBEngine(path, read_only=True) as warehouse:
                if (version := schema_version(warehouse)) > newest_version():
                    detail = f"{path} was written by a newer journeyflow (schema {version}); install that version"
                    yield Diagnosis("warehouse", "error", detail)
                    return
                yield from _record_counts(warehouse, path)
                yield from _archived_files(config, warehouse)
                yield from _last_run(warehouse)
        except EngineError as error:
            remedy = "restore a backup, or move it away: the next run then reads all files again"
            yield Diagnosis("warehouse", "error", f"{error.message} {remedy}")


_UNBALANCED_LOADS = """
    select count(*) as n from ledger.loads
    where record_count <> accepted_count + quarantined_count + duplicate_count + filtered_count + erased_count
"""
_EVENTS_OF_UNKNOWN_FILES = (
    "select count(*) as n from raw.events where file_ix not in (select file_ix from ledger.files)"
)


def _record_counts(warehouse: DuckDBEngine, path: Path) -> Diagnoses:
    files = warehouse.count("ledger.files", "is_loaded")
    events = warehouse.count("raw.events")
    unbalanced, unknown = (
        int(warehouse.rows(query)["n"][0].as_py()) for query in (_UNBALANCED_LOADS, _EVENTS_OF_UNKNOWN_FILES)
    )
    if unbalanced or unknown:
        detail = f"{unbalanced} files whose records do not add up, {unknown:,} events of unknown files; rebuild it"
        yield Diagnosis("warehouse", "error", f"{path} is inconsistent: {detail}")
    else:
        size, version = path.stat().st_size // _MEBIBYTE, schema_version(warehouse)
        migration = "" if version == newest_version() else f", which the next run migrates to {newest_version()}"
        content = f"{events:,} events of {files:,} files, {size:,} MiB; all records accounted for"
        yield Diagnosis("warehouse", "ok", f"{content}; schema {version}{migration}")


def _last_run(warehouse: DuckDBEngine) -> Diagnoses:
    if failure := last_failure(warehouse):
        yield Diagnosis("last run", "warning", f"{failure['run_id']} failed: {failure['detail']}")


def _archived_files(config: Config, warehouse: DuckDBEngine) -> Diagnoses:
    """Report loaded files without an archived copy: they can be rebuilt only while the input still has them."""
    raw_store, archive, now = RawStore(config.state), RecordArchive(config.state), clock_time()
    loaded = [file for file in FileRegistry(warehouse, "", 0).files() if file.is_loaded]
    retained = [file for file in loaded if not is_over(config, file.source, file.first_loaded_at, now)]
    missing = [
        file.source_file
        for file in retained
        if not (file.is_empty or archive.holds(file.archive_sha256) or raw_store.path(file.copy_sha256))
    ]
    if missing:
        detail = f"{len(missing):,} of {len(retained):,} files are not archived, the first {escaped(missing[0])}; "
        yield Diagnosis("archived files", "warning", f"{detail}the next run archives those that the input still has")


def _erasure(config: Config) -> Diagnoses:
    if pending_erasure(config.state):
        yield Diagnosis("erasure", "warning", "one was interrupted; `journeyflow run` completes it")


def _build(config: Config) -> Diagnoses:
    path = config.state / BUILD
    if not path.exists():
        return
    try:
        with DuckDBEngine(path, read_only=True):
            yield Diagnosis("last build", "ok", f"{path.stat().st_size // _MEBIBYTE:,} MiB")
    except EngineError as error:
        yield Diagnosis("last build", "error", f"{error.message} `explain` needs it; the next run rebuilds it")


def _publication(config: Config) -> Diagnoses:
    current = config.publish / "current"
    if not current.is_symlink():
        if current.exists():
            yield Diagnosis("published", "error", f"{current} is not a link, so no run can publish: move it away")
        else:
            yield Diagnosis("published", "ok", "nothing is published yet")
        return
    folder = current.resolve()
    if folder.parent != (config.publish / "generations").resolve() or not folder.is_dir():
        detail = f"{current} does not link to a generation of this project; run `journeyflow run`"
        yield Diagnosis("published", "error", detail)
        return
    try:
        manifest = read_manifest(folder)
    except JourneyflowError as error:
        yield Diagnosis("published", "error", error.message)
        return
    wrong = [*_changed_files(folder, manifest), *_other_counts(folder, manifest)]
    if wrong:
        yield Diagnosis("published", "error", f"{folder}: {'; '.join(wrong)}. Run `journeyflow run` to publish again")
    else:
        detail = f"run {manifest.run_id}, {len(manifest.tables)} tables, every file matches the manifest"
        yield Diagnosis("published", "ok", detail)
    yield from _leftovers(config.publish / "generations")


def _changed_files(folder: Path, manifest: Manifest) -> Iterator[str]:
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
    unfinished = [path.name for path in generations.iterdir() if path.name.startswith(".")]
    if unfinished:
        detail = f"{len(unfinished)} unfinished in {generations}, of a killed run; the next run removes it"
        yield Diagnosis("generations", "warning", detail)


def _space(config: Config) -> Diagnoses:
    """Check for the space of a second build and generation, which a run writes before it removes the old ones."""
    for folder in dict.fromkeys((config.state, config.publish)):
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        free = shutil.disk_usage(existing).free
        used = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
        wanted = max(LEAST_FREE_BYTES, 2 * used)
        detail = f"{_size(free)} free for {folder}, which holds {_size(used)}"
        if free < wanted:
            yield Diagnosis("free space", "warning", f"{detail}; a run may need {_size(wanted)}")
        else:
            yield Diagnosis("free space", "ok", detail)


def _size(byte_count: int) -> str:
    mebibytes = byte_count / _MEBIBYTE
    return f"{mebibytes:,.1f} MiB" if mebibytes < _LARGE else f"{mebibytes / 1024:,.1f} GiB"


_LARGE = 1024
_EVENTS = """id,at,device,user,event,key
1,2026-01-01T10:00:00,a,,page_view,k
2,2026-01-01T10:00:00,a,,product_view,k
3,2026-01-01T10:05:00,a,u,purchase,k
4,2026-01-09T10:00:00,a,u,page_view,k
5,2026-01-09T10:00:00,b,,product_view,k
"""
_STEPS = [{"name": "seen", "when": {"event": "product_view"}}, {"name": "paid", "when": {"event": "purchase"}}]
_EXCLUSION = {"when": {"event": "page_view"}, "between": ["seen", "paid"]}
_PROJECT = {
    "project": "warm-up",
    "sources": {
        "events": {
            "format": "csv",
            "path": "events.csv",
            "channel": "web",
            "columns": {
                "event_id": "id",
                "occurred_at": "at",
                "anonymous_id": "device",
                "user_id": "user",
                "event_name": "event",
            },
        }
    },
    "models": {"four_stage": "builtin"},
    # The kinds of units, and exclusions: every function that funnels of a project may need.
    "funnels": {
        "of_persons": {"steps": _STEPS, "window": "7d", "exclusions": [_EXCLUSION]},
        "of_sessions": {"steps": _STEPS, "window": "7d", "unit": "session"},
    },
}


def warm_up(progress: Progress) -> None:
    """Put a few invented events through the phases up to the kernel's, so that all compiled code is in the cache.

    The cache is beside the installed kernel, or in the user's cache folder, or where ``NUMBA_CACHE_DIR`` says.
    """

    def compiling(phase: str, what: str, done: int, total: int | None = None) -> None:
        if phase == "compile":
            progress(phase, what, done, total)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "events.csv").write_text(_EVENTS)
        with Run(load_config(_PROJECT, folder=folder), progress=compiling) as started:
            started.load()
            started.stitch()
            started.classify()
