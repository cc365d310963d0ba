"""Paths and databases of the state folder; the project's graph of models."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from journeyflow.engines import DuckDBEngine
from journeyflow.errors import InputError
from journeyflow.models import Graph, Model, Phase, load_graph
from journeyflow.utils import files

if TYPE_CHECKING:
    from journeyflow.config import Config


WAREHOUSE = "warehouse.duckdb"
"""In the state folder: what is kept from run to run."""
BUILD = "build.duckdb"
"""In the state folder: what the last good run built."""
ERASURE = "erasure.json"
"""In the state folder, while an erasure is pending."""


BUILD_STATE = "incremental.build_state"
"""In a build: what it was built of, see `renewing`."""


@dataclass(frozen=True)
class PlanEntry:
    """One line of `plan`: a model, its phase, what it reads and why it runs."""

    model: str
    phase: str
    reads: tuple[str, ...]
    why: str


def plan(config: Config) -> tuple[PlanEntry, ...]:
    """Return the models of a project in the order of a night, with the reason why each runs."""
    graph = graph_of(config)
    readers: Mapping[str, list[str]] = {model.name: [] for model in graph}
    for model in graph:
        for upstream in model.inputs:
            readers[upstream].append(model.name)
    order = {phase: position for position, phase in enumerate(Phase)}
    entries = [PlanEntry(model.name, graph.phase(model.name), model.inputs, _why(model, readers)) for model in graph]
    return tuple(sorted(entries, key=lambda entry: order[Phase(entry.phase)]))


def _why(model: Model, readers: Mapping[str, list[str]]) -> str:
    origin = "your own, " if model.is_own else ""
    used = "published" if model.is_published else f"read by {', '.join(readers[model.name]) or 'nobody'}"
    return f"{origin}{used}"


def graph_of(config: Config) -> Graph:
    """Return the models of a project: the built-in ones, and the user's own beside `journeyflow.yml`."""
    folder, own = files.sql_folder(), own_folder(config.folder)
    return _graph(folder, own, _stamp(folder) + (_stamp(own) if own else ()))


@lru_cache(maxsize=4)
def _graph(folder: Path, own: Path | None, stamp: tuple[object, ...]) -> Graph:
    """Read models once while their files stay as they are: parsing them takes as long as a small night."""
    del stamp
    return load_graph(folder, own)


def _stamp(folder: Path) -> tuple[object, ...]:
    found = ((path, path.stat()) for path in sorted(folder.rglob("*")))
    return tuple((str(path), state.st_mtime_ns, state.st_size) for path, state in found)


def rules_hash(config: Config, graph: Graph) -> str:
    """Return the SHA-256 of all that makes figures of events: configuration, SQL of the models, and the version.

    Two runs with the same hash over the same events publish the same figures.
    """
    texts = {model.name: model.sql for model in graph if model.sql is not None}
    rules = [config.hash, version("journeyflow"), sorted(texts.items())]
    return hashlib.sha256(json.dumps(rules).encode()).hexdigest()


def own_folder(project: Path) -> Path | None:
    """Return the folder of the user's own models, ``sql/`` or ``models/`` in the project folder, or None."""
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


def open_build(config: Config) -> DuckDBEngine:
    """Open what the last good night built, for reading; the warehouse is attached as ``warehouse``.

    Raises
    ------
    InputError
        When no night has ended well yet.
    """
    path = config.state / BUILD
    if not path.exists():
        raise InputError(f"There is no {path}: run `journeyflow run` first.")
    engine = DuckDBEngine(path, read_only=True, attached={"warehouse": config.state / WAREHOUSE})
    if not is_complete(engine):
        engine.close()
        raise InputError("The last night died while it changed what the one before had built: run `journeyflow run`.")
    return engine


def is_complete(build: DuckDBEngine) -> bool:
    """Tell whether a build can be read: no night died while it exchanged rows of it."""
    return not build.columns(BUILD_STATE) or build.rows(f"select is_complete from {BUILD_STATE}").column(
        0
    ).to_pylist() == [True]


def dictionary(graph: Graph) -> pa.Table:
    """Return the columns of the published tables: the rows of `config.columns`."""
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
