"""Publish a generation: write tables and manifest beside the others, then swap one link."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from journeyflow.engines import DuckDBEngine
from journeyflow.engines.base import relation, text, word
from journeyflow.engines.duckdb import STORAGE_VERSION
from journeyflow.errors import JourneyflowError, NotFoundError
from journeyflow.models import Model
from journeyflow.state.lock import make_shared, share
from journeyflow.utils.files import point, sha256, sync, sync_tree

FILE_NAME = "manifest.json"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class TableEntry(_Frozen):
    """One published table: its rows, its Parquet file and the SHA-256 of that file."""

    row_count: int
    file: str
    sha256: str


class FileEntry(_Frozen):
    """A file beside the tables: its size and its SHA-256."""

    byte_count: int
    sha256: str


class Manifest(_Frozen):
    """A generation in numbers; times are UTC. `files` are what was drawn from the tables, such as ``map.html``."""

    run_id: str
    project: str
    version: str
    config_hash: str
    started_at: datetime
    published_at: datetime
    high_water_at: datetime
    event_count: int
    tables: dict[str, TableEntry]
    files: dict[str, FileEntry] = {}


def read_manifest(generation: Path) -> Manifest:
    """Return the manifest of the folder of a generation.

    Raises
    ------
    NotFoundError
        When there is none, or it cannot be read.
    """
    path = generation / FILE_NAME
    try:
        return Manifest.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise NotFoundError(
            f"Nothing is published in {generation}: there is no {FILE_NAME}. Run `journeyflow run` first."
        ) from error
    except ValidationError as error:
        raise NotFoundError(
            f"{path} is not a manifest of journeyflow; publish again with `journeyflow run`."
        ) from error


KEPT_GENERATIONS = 5
DATABASE = "marts.duckdb"
_OUTGOING = "outgoing"
_UNFINISHED = ".unfinished-"
Draw = Callable[[Path], Mapping[str, bytes]]
"""Given the folder of a generation whose tables can be read, returns the files that belong beside them, by name."""


@dataclass(frozen=True)
class RunFacts:
    """What the manifest says of the run; times are naive UTC."""

    run_id: str
    project: str
    version: str
    config_hash: str
    started_at: datetime
    published_at: datetime
    high_water_at: datetime
    event_count: int


def publish(
    engine: DuckDBEngine,
    models: Iterable[Model],
    folder: Path,
    facts: RunFacts,
    draw: Draw | None = None,
    kept: int = KEPT_GENERATIONS,
) -> Path:
    """Publish the built tables of `models` as a new generation and swap `current` to it.

    Parameters
    ----------
    engine : DuckDBEngine
        Where the tables were built and checked.
    models : iterable of Model
        What is published.
    folder : Path
        The configured `publish` folder; gains ``generations/<run_id>/`` and the link ``current``.
    facts : RunFacts
        For the manifest.
    draw : Draw or None
        Draws files from the tables before anyone sees them. Where it fails nothing is published, so that tables and
        drawings of a generation always agree, and a drawing that fails is not found out weeks later.
    kept : int
        How many generations stay, this one among them.

    Returns
    -------
    Path
        The folder of the generation: ``marts.duckdb``, a Parquet file for each table, ``manifest.json``, and what
        `draw` returned.

    Raises
    ------
    JourneyflowError
        When the folder cannot be written; the generation that was current stays so.
    """
    try:
        final = _publish(engine, tuple(models), folder, facts, draw)
        _prune(final.parent, facts.run_id, kept)
        return final
    except OSError as error:
        raise JourneyflowError(
            f"Cannot publish into {folder}: {error.strerror or type(error).__name__}. See that the folder can be "
            "written and the disk has room; what was published before is untouched."
        ) from error


def _publish(engine: DuckDBEngine, models: tuple[Model, ...], folder: Path, facts: RunFacts, draw: Draw | None) -> Path:
    generations, current = folder / "generations", folder / "current"
    make_shared(generations)
    if current.is_dir() and not current.is_symlink():
        raise JourneyflowError(f"{current} is a folder, where the link to the newest tables belongs: move it away.")
    _clear_unfinished(generations)
    staged, final = generations / f"{_UNFINISHED}{facts.run_id}", generations / facts.run_id
    staged.mkdir()
    try:
        manifest = _write(engine, models, staged, facts)
        if draw:
            files = {name: _write_file(staged / name, content) for name, content in draw(staged).items()}
            _write_manifest(manifest.model_copy(update={"files": files}), staged)
        for path in (*staged.iterdir(), staged):
            share(path)
        sync_tree(staged)
        staged.rename(final)
        sync(generations)
        point(current, f"generations/{facts.run_id}")
    except BaseException:
        shutil.rmtree(staged, ignore_errors=True)
        if current.resolve() != final.resolve():  # Else the swap was done, and it is what readers see.
            shutil.rmtree(final, ignore_errors=True)
        raise
    return final


def order_of(model: Model) -> str:
    """Return the ORDER BY list that puts the rows of `model` in the one order its key gives them."""
    return ", ".join(f"{word(name)} nulls first" for name in (model.grain or tuple(model.columns)))


def _write(engine: DuckDBEngine, models: tuple[Model, ...], folder: Path, facts: RunFacts) -> Manifest:
    tables = {model.table: _write_parquet(engine, model, folder) for model in models}
    _write_database(engine, models, folder / DATABASE)
    manifest = Manifest(**vars(facts), tables=tables)
    _write_manifest(manifest, folder)
    return manifest


def _write_manifest(manifest: Manifest, folder: Path) -> None:
    (folder / FILE_NAME).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")


def _write_file(path: Path, content: bytes) -> FileEntry:
    path.write_bytes(content)
    return FileEntry(byte_count=len(content), sha256=sha256(path))


def _write_parquet(engine: DuckDBEngine, model: Model, folder: Path) -> TableEntry:
    path = folder / f"{model.table}.parquet"
    select = f"select * from {relation(model.name)} order by {order_of(model)}"
    engine.execute(f"copy ({select}) to {text(str(path))} (format parquet, compression zstd)")
    counted = engine.rows(f"select count(*) from {relation(model.name)}")
    return TableEntry(row_count=counted.column(0)[0].as_py(), file=path.name, sha256=sha256(path))


def _write_database(engine: DuckDBEngine, models: tuple[Model, ...], path: Path) -> None:
    engine.attach(path, _OUTGOING, storage_version=STORAGE_VERSION)
    try:
        for model in models:
            name = f"{_OUTGOING}.main.{model.table}"
            select = f"select * from {relation(model.name)} order by {order_of(model)}"
            engine.execute(f"create table {relation(name)} as {select}", model=model.name)
            engine.execute(f"comment on table {relation(name)} is {text(_table_comment(model))}")
            for column, described in model.columns.items():
                unit = f" [{described.unit}]" if described.unit else ""
                engine.execute(f"comment on column {relation(name)}.{word(column)} is {text(described.meaning + unit)}")
    finally:
        engine.detach(_OUTGOING)


def _table_comment(model: Model) -> str:
    grain = f" One row per {', '.join(model.grain)}." if model.grain else ""
    return f"{model.metadata.description}{grain}"


def _clear_unfinished(generations: Path) -> None:
    for left_over in generations.glob(f"{_UNFINISHED}*"):
        shutil.rmtree(left_over, ignore_errors=True)


def _prune(generations: Path, current: str, count: int) -> None:
    # Run ids sort by time. A reader that has an old file open keeps it until it closes.
    kept = sorted(path.name for path in generations.iterdir() if path.is_dir())[-count:]
    for path in generations.iterdir():
        if path.is_dir() and path.name not in (*kept, current):
            shutil.rmtree(path, ignore_errors=True)
