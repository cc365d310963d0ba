"""Paths and databases of the state folder; the project's graph of models."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from journeyflow.engines import DuckDBEngine
from journeyflow.errors import InputError, NotFoundError
from journeyflow.utils import files
from journeyflow.utils.files import Document, read_yaml

if TYPE_CHECKING:
    import pyarrow as pa
    from pydantic import TypeAdapter

    from journeyflow.config import Config
    from journeyflow.models import Graph, Model


CONFIGURATION = "journeyflow.yml"
"""In the folder of a project."""
WAREHOUSE = "warehouse.duckdb"
"""In the state folder: what is kept from run to run."""
BUILD = "build.duckdb"
"""In the state folder: what the last good run built."""
SELECTED = "selected.duckdb"
"""In the state folder: what `run --select` built last."""
MODELS = "models.json"
"""The graph of models as last read, which the next command need not parse: beside the compiled code of the package, and
in the state folder where that cannot be written or a project has models of its own."""
ERASURE = "erasure.json"
"""In the state folder, while an erasure is pending."""


BUILD_STATE = "incremental.build_state"
"""In a build: what it was built from, see `pipeline.incremental.state`."""


RULE_HASHES = "incremental.rule_hashes"
"""In a build: hashes of the configuration, the version and each model that it was built by."""


@dataclass(frozen=True)
class PlanEntry:
    """One line of `plan`: a model, its phase, what it reads and why it runs."""

    model: str
    phase: str
    reads: tuple[str, ...]
    why: str


class Folders(Protocol):
    """The folders of a project; a `Config` has them too."""

    @property
    def state(self) -> Path:
        """What is private: the warehouse, the last build, archived files."""

    @property
    def publish(self) -> Path:
        """Published tables."""


@dataclass(frozen=True)
class _NamedFolders:
    state: Path
    publish: Path


def folders_of(source: Path) -> Folders:
    """Return the folders that a `journeyflow.yml`, or the one in a folder, names.

    Nothing else of it is checked, so that what is published can be read beside a mistake, and soon. Where it does not
    name both plainly it is loaded whole.
    """
    file = source / CONFIGURATION if source.is_dir() else source
    document = Document()
    with suppress(OSError):
        document = read_yaml(file.read_bytes(), is_fast=True)
    content = document.content if isinstance(document.content, dict) and not document.mistakes else {}
    named = [content.get(name) for name in ("state", "publish")]
    if all(isinstance(folder, str) and folder for folder in named):
        return _NamedFolders(*(Path(os.path.normpath(file.absolute().parent / str(folder))) for folder in named))
    from journeyflow.config import load_config

    return load_config(source)


def plan(config: Config) -> tuple[PlanEntry, ...]:
    """Return the models of a project in the order of a run, with the reason why each runs."""
    from journeyflow.models import Phase

    graph = graph_of(config)
    readers: Mapping[str, list[str]] = {model.name: [] for model in graph}
    for model in graph:
        for upstream in model.inputs:
            readers[upstream].append(model.name)
    order = {phase: position for position, phase in enumerate(Phase)}
    entries = [PlanEntry(model.name, graph.phase(model.name), model.inputs, _why(model, readers)) for model in graph]
    return tuple(sorted(entries, key=lambda entry: order[Phase(entry.phase)]))


def _why(model: Model, readers: Mapping[str, list[str]]) -> str:
    origin = "user-defined, " if model.is_own else ""
    used = "published" if model.is_published else f"read by {', '.join(readers[model.name]) or 'no model'}"
    return f"{origin}{used}"


def graph_of(config: Config) -> Graph:
    """Return the models of a project: the built-in ones, and the user-defined ones beside `journeyflow.yml`."""
    own = own_folder(config.folder)
    return _graph(own, config.state / MODELS) if own else built_in_graph(config.state / MODELS)


def built_in_graph(place: Path | None = None) -> Graph:
    """Return the built-in models, from the cache beside the compiled code of the package or in `place`."""
    return _graph(None, *_shared_cache(), *([place] if place else []))


def save_graph(config: Config) -> None:
    """Write the graph of models into the state folder for the next process; call it while holding the lock."""
    own, place = own_folder(config.folder), config.state / MODELS
    if own or not _shared_cache():
        _write_cache(place, _graph_key(own), graph_of(config))


def _shared_cache() -> list[Path]:
    """Return the file beside the compiled code of the package, which is trusted as that is, if it can be written."""
    from journeyflow import models

    folder = Path(models.__file__).parent / "__pycache__"
    return [folder / MODELS] if os.access(folder if folder.exists() else folder.parent, os.W_OK) else []


def _graph(own: Path | None, *places: Path) -> Graph:
    from journeyflow.models import load_graph

    key = _graph_key(own)
    if key not in _graphs:
        if len(_graphs) >= MOST_GRAPHS:
            _graphs.clear()
        found = next(filter(None, (_read_cache(place, key) for place in places)), None)
        _graphs[key] = found or load_graph(files.sql_folder(), own)
        if not own and not found:
            for place in _shared_cache():
                with suppress(OSError):  # Several processes may write it at once.
                    place.parent.mkdir(exist_ok=True)
                    _write_cache(place, key, _graphs[key], unfinished=str(os.getpid()))
    return _graphs[key]


def _write_cache(place: Path, key: str, graph: Graph, unfinished: str = "unfinished") -> None:
    if _cached_key(place) != key.encode():
        fresh = place.with_name(f"{place.name}.{unfinished}")
        fresh.write_bytes(key.encode() + b"\n" + _models_adapter().dump_json(tuple(graph), exclude_unset=True))
        fresh.replace(place)


MOST_GRAPHS = 4
_graphs: dict[str, Graph] = {}
"""Graphs read by this process, by their keys: parsing them takes as long as a small run."""


def _graph_key(own: Path | None) -> str:
    """Return a hash of all files that decide a graph: the models, and the code that reads them."""
    from journeyflow import models

    folders = [Path(models.__file__).parent, files.sql_folder(), own]
    found = [
        str(path)
        for folder in folders
        if folder
        for path in sorted(folder.rglob("*.*"))
        if "__pycache__" not in path.parts
    ]
    states = [Path(path).stat() for path in found]
    # A copied file may keep the modification time and the size of the one it replaces, but not the inode's change time.
    stamps = [(state.st_mtime_ns, state.st_ctime_ns, state.st_size) for state in states]
    return hashlib.sha256(json.dumps([version("journeyflow"), found, stamps]).encode()).hexdigest()


def _cached_key(place: Path) -> bytes:
    try:
        with place.open("rb") as file:
            return file.readline().rstrip()
    except OSError:
        return b""


def _read_cache(place: Path, key: str) -> Graph | None:
    if _cached_key(place) != key.encode():
        return None
    from journeyflow.models import Graph

    try:
        _, _, content = place.read_bytes().partition(b"\n")
        return Graph({model.name: model for model in _models_adapter().validate_json(content)})
    except (OSError, ValueError):
        return None


@cache
def _models_adapter() -> TypeAdapter[tuple[Model, ...]]:
    from pydantic import TypeAdapter

    from journeyflow.models import Model

    return TypeAdapter(tuple[Model, ...])


def rules_hash(config: Config, graph: Graph) -> str:
    """Return the SHA-256 of all that makes figures of events: configuration, models, and the version.

    Two runs with the same hash over the same events publish the same figures.
    """
    return hashlib.sha256(json.dumps(rule_hashes(config, graph), sort_keys=True).encode()).hexdigest()


def rule_hashes(config: Config, graph: Graph) -> dict[str, str]:
    """Return what `rules_hash` covers in parts: of the configuration, the version, and each model by its name."""
    hashes = {"configuration": config.hash, "version": version("journeyflow")}
    for model in graph:
        types = [(name, column.type) for name, column in model.columns.items()]
        rules = [model.sql, model.metadata.python_model, model.metadata.kind, types]
        hashes[model.name] = hashlib.sha256(json.dumps(rules).encode()).hexdigest()
    return hashes


def write_rule_hashes(build: DuckDBEngine, hashes: Mapping[str, str]) -> None:
    """Record in a build the rules by which it was built."""
    import pyarrow as pa

    build.register(RULE_HASHES, pa.table({"name": list(hashes), "hash": list(hashes.values())}))


def read_rule_hashes(build: DuckDBEngine, name: str) -> dict[str, str]:
    """Return what `write_rule_hashes` recorded in the relation `name`; empty where it recorded nothing."""
    if not build.columns(name):
        return {}
    return {row["name"]: row["hash"] for row in build.rows(f"select name, hash from {name}").to_pylist()}


def own_folder(project: Path) -> Path | None:
    """Return the folder of the user-defined models, ``sql/`` or ``models/`` in the project folder, or None."""
    from journeyflow.models.model import LAYERS

    folders = [
        folder for folder in (project / "sql", project / "models") if any((folder / layer).is_dir() for layer in LAYERS)
    ]
    if len(folders) > 1:
        raise InputError(f"Both {folders[0]} and {folders[1]} hold models; keep them in one of the two.")
    return folders[0] if folders else None


def writable_build(config: Config, place: Path, limits: Mapping[str, Any]) -> DuckDBEngine:
    """Open the database of a build, made when missing; it reads the warehouse, and writes generations and nothing else.

    `limits` are memory, threads and the spill folder.
    """
    return DuckDBEngine(
        place,
        folders=[config.publish / "generations"],
        attached={"warehouse": config.state / WAREHOUSE},
        **limits,
    )


def open_build(config: Config, *needed: str) -> DuckDBEngine:
    """Open the last build for reading; the warehouse is attached as ``warehouse``.

    Raises
    ------
    NotFoundError
        When nothing was built yet.
    InputError
        When the last build is not complete, or has not the relations `needed`.
    """
    path = config.state / BUILD
    if not path.exists():
        raise NotFoundError(f"Nothing was built yet: there is no {path}. Run `journeyflow run` first.")
    engine = DuckDBEngine(path, read_only=True, attached={"warehouse": config.state / WAREHOUSE})
    if not is_complete(engine):
        engine.close()
        raise InputError("The last run failed while it changed the last build: run `journeyflow run`.")
    if not all(map(engine.columns, needed)):
        engine.close()
        raise InputError(
            "The last build was made on Spark and holds no relations of persons. Leave out `engine: spark`, run "
            "`journeyflow run`, and ask again."
        )
    return engine


def is_complete(build: DuckDBEngine, state: str = BUILD_STATE) -> bool:
    """Return whether a build can be read: no run died while it changed rows of it."""
    if not build.columns(state):
        return True
    values: list[bool] = build.rows(f"select is_complete from {state}")["is_complete"].to_pylist()
    return values == [True]


def dictionary(graph: Graph) -> pa.Table:
    """Return the columns of the published tables: the rows of `config.columns`."""
    import pyarrow as pa

    rows = [
        {
            "table_name": model.table,
            "column_name": name,
            "column_index": index,
            "type": column.type,
            "unit": column.unit,
            "meaning": column.meaning,
        }
        for model in graph.published()
        for index, (name, column) in enumerate(model.columns.items(), start=1)
    ]
    fields = [(name, pa.int32() if name == "column_index" else pa.string()) for name in rows[0]]
    return pa.Table.from_pylist(rows, schema=pa.schema(fields))
