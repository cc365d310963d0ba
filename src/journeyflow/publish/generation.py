"""Publish a generation of tables with its manifest, and swap the link `current` to it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from journeyflow.engines import DuckDBEngine
from journeyflow.engines.base import relation, text, word
from journeyflow.engines.duckdb import STORAGE_VERSION
from journeyflow.errors import InputError, JourneyflowError, NotFoundError
from journeyflow.publish.manifest import MANIFEST, FileEntry, Manifest, RunFacts, TableEntry, read_manifest
from journeyflow.publish.semantic import SEMANTIC, semantic_file
from journeyflow.state.inventory import RUN_ID
from journeyflow.state.lock import make_shared, share
from journeyflow.state.warehouse import transaction
from journeyflow.utils.files import point, sha256, sync, sync_tree

if TYPE_CHECKING:
    from journeyflow.models import Model


DATABASE = "marts.duckdb"
KEPT_GENERATIONS = 5
CURRENT = "current.json"
"""Names the newest generation in an object store, which has no links."""
_OUTGOING = "outgoing"
_UNFINISHED = ".unfinished-"
Draw = Callable[[Path], Mapping[str, bytes]]
"""Renders files, by name, from the folder of a generation whose tables can already be read."""


def publish(
    engine: DuckDBEngine,
    models: Iterable[Model],
    folder: Path,
    facts: RunFacts,
    draw: Draw | None = None,
    kept: int = KEPT_GENERATIONS,
) -> Path:
    """Publish the built tables of `models` as ``generations/<run_id>/``, and swap `current` to it atomically.

    Parameters
    ----------
    folder : Path
        The configured `publish` folder.
    draw : Draw or None
        Renders further files from the tables. When it fails nothing is published, so that tables and files of a
        generation always agree.
    kept : int
        How many generations are retained, this one included.

    Returns
    -------
    Path
        The folder of the generation: ``marts.duckdb``, one Parquet file per table, ``semantic.json``,
        ``manifest.json`` and the files of `draw`.

    Raises
    ------
    JourneyflowError
        When the folder cannot be written. The previous generation then stays current.
    """
    try:
        final = _publish(engine, tuple(models), folder, facts, draw)
        _prune(final.parent, facts.run_id, kept)
        return final
    except OSError as error:
        raise JourneyflowError(
            f"Cannot publish into {folder}: {error.strerror or type(error).__name__}. Check that the folder is "
            "writable and the disk has space. The previous generation is unchanged."
        ) from error


def _publish(engine: DuckDBEngine, models: tuple[Model, ...], folder: Path, facts: RunFacts, draw: Draw | None) -> Path:
    generations, current = folder / "generations", folder / "current"
    make_shared(generations)
    if current.is_dir() and not current.is_symlink():
        raise JourneyflowError(f"{current} must be a link to the newest tables, but is a folder: move it away.")
    remove_unfinished(generations)
    staged, final = generations / f"{_UNFINISHED}{facts.run_id}", generations / facts.run_id
    staged.mkdir()
    try:
        manifest = _write(engine, models, staged, facts)
        if draw:
            files = {name: _write_file(staged / name, content) for name, content in draw(staged).items()}
            _write_manifest(manifest.model_copy(update={"files": manifest.files | files}), staged)
        for path in (*staged.iterdir(), staged):
            share(path)
        sync_tree(staged)
        staged.rename(final)
        sync(generations)
        point(current, f"generations/{facts.run_id}")
    except BaseException:
        shutil.rmtree(staged, ignore_errors=True)
        if current.resolve() != final.resolve():  # Else the swap is done and readers see it.
            shutil.rmtree(final, ignore_errors=True)
        raise
    return final


def _write(engine: DuckDBEngine, models: tuple[Model, ...], folder: Path, facts: RunFacts) -> Manifest:
    tables = {model.table: _write_parquet(engine, model, folder) for model in models}
    _write_database(engine, models, folder / DATABASE)
    files = {SEMANTIC: _write_file(folder / SEMANTIC, semantic_file(models, facts.project))}
    manifest = Manifest(**dict(facts), tables=tables, files=files)
    _write_manifest(manifest, folder)
    return manifest


def _write_manifest(manifest: Manifest, folder: Path) -> None:
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")


def _write_file(path: Path, content: bytes) -> FileEntry:
    path.write_bytes(content)
    return FileEntry(byte_count=len(content), sha256=sha256(path))


def _write_parquet(engine: DuckDBEngine, model: Model, folder: Path) -> TableEntry:
    path = folder / f"{model.table}.parquet"
    select = f"select * from {relation(model.name)} order by {order_of(model)}"
    engine.execute(f"copy ({select}) to {text(str(path))} (format parquet, compression zstd)")
    return TableEntry(row_count=engine.count(model.name), file=path.name, sha256=sha256(path))


def _write_database(engine: DuckDBEngine, models: tuple[Model, ...], path: Path) -> None:
    engine.attach(path, _OUTGOING, storage_version=STORAGE_VERSION)
    try:
        with transaction(engine):  # Hundreds of comments are written at once.
            for model in models:
                name = f"{_OUTGOING}.main.{model.table}"
                select = f"select * from {relation(model.name)} order by {order_of(model)}"
                engine.execute(f"create table {relation(name)} as {select}", model=model.name)
                engine.execute(f"comment on table {relation(name)} is {text(table_comment(model))}")
                for column, described in model.columns.items():
                    unit = f" [{described.unit}]" if described.unit else ""
                    meaning = text(described.meaning + unit)
                    engine.execute(f"comment on column {relation(name)}.{word(column)} is {meaning}")
    finally:
        engine.detach(_OUTGOING)


def copy_generation(generation: Path, kept: Collection[str], system: Any, root: str) -> None:  # noqa: ANN401
    """Copy a published generation to ``generations/<run_id>/`` of an object store, and then name it in `current.json`.

    Readers open `current.json` first, so that they see one whole generation. Those that are not in `kept` are removed.

    Parameters
    ----------
    system : pyarrow.fs.FileSystem
        The object store.
    root : str
        Bucket and folder in it.

    Raises
    ------
    InputError
        When the folder is of another project.
    OSError
        When the store cannot be read or written; `current.json` then names the generation before.
    """
    from pyarrow import fs

    manifest = read_manifest(generation)
    current = f"{root}/{CURRENT}"
    if system.get_file_info(current).type == fs.FileType.File:
        with system.open_input_stream(current) as stream:
            found = stream.read()
        if not found.startswith(json.dumps({"project": manifest.project}, indent=2)[:-2].encode()):
            raise InputError("The folder of `targets.object_store.url` is of another project: name one of its own.")
    folder = f"{root}/generations"
    for path in sorted(generation.iterdir()):
        with system.open_output_stream(f"{folder}/{generation.name}/{path.name}") as stream:
            stream.write(path.read_bytes())
    named = {"project": manifest.project, "run_id": manifest.run_id, "folder": f"generations/{generation.name}"}
    with system.open_output_stream(current) as stream:
        stream.write(json.dumps(named, indent=2).encode() + b"\n")
    for found in system.get_file_info(fs.FileSelector(folder, allow_not_found=True)):
        if RUN_ID.fullmatch(found.base_name) and found.base_name not in {*kept, generation.name}:
            system.delete_dir(found.path)


def order_of(model: Model) -> str:
    """Return the ORDER BY list of the key of `model`, which makes published files reproducible."""
    return ", ".join(f"{word(name)} nulls first" for name in (model.grain or tuple(model.columns)))


def table_comment(model: Model) -> str:
    """Return what a published table says and what a row of it is."""
    grain = f" One row per {', '.join(model.grain)}." if model.grain else ""
    return f"{model.metadata.description}{grain}"


def own_generations(generations: Path) -> list[Path]:
    """Return the folders of generations, by their names and manifests; others' folders beside them are not listed."""
    if not generations.is_dir():
        return []
    return sorted(path for path in generations.iterdir() if path.is_dir() and not path.is_symlink() and _is_own(path))


def _is_own(path: Path) -> bool:
    if RUN_ID.fullmatch(path.name):
        return True
    try:
        return read_manifest(path).run_id == path.name
    except NotFoundError:
        return False


def remove_unfinished(generations: Path) -> None:
    """Remove what a killed run left of a generation."""
    for path in generations.glob(f"{_UNFINISHED}*"):
        if not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)


def _prune(generations: Path, current: str, count: int) -> None:
    # Run ids sort by time. A reader with an open file of a deleted generation can still read it.
    found = own_generations(generations)
    for path in found[:-count]:
        if path.name != current:
            shutil.rmtree(path, ignore_errors=True)
