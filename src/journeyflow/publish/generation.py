"""Publish a generation of tables with its manifest and semantic file, and swap the link `current` to it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from journeyflow.engines import DuckDBEngine
from journeyflow.engines.base import relation, text, word
from journeyflow.engines.duckdb import STORAGE_VERSION
from journeyflow.errors import InputError, JourneyflowError, NotFoundError
from journeyflow.publish.reader import MANIFEST, FileEntry, Manifest, RunFacts, TableEntry, read_manifest
from journeyflow.state.folder import RUN_ID, make_shared, share
from journeyflow.state.warehouse import transaction
from journeyflow.utils.files import point, sha256, sync, sync_tree

if TYPE_CHECKING:
    from journeyflow.models import Column, Model


SEMANTIC = "semantic.json"
VERSION = "0.1.1"
"""Of Open Semantic Interchange, now Apache Ossie: the released version, which BI tools read; 0.2 is a draft."""
INSTRUCTIONS = (
    "Tables are aggregated already. A row in which persona, period or another column named in `totals` is 'all' stands "
    "for all rows of that column: filter it to 'all' or leave 'all' out, never both together. Only fields with "
    "`additive_over` may be summed, over those columns and no others. Rates are of persons whose window is over: "
    "compute them from the sums of numerator and denominator, never as a mean or sum of rates. Do not join tables."
)
_NUMBER = re.compile(r"BIGINT|INTEGER|DOUBLE|DECIMAL\(.*\)")
_POSITION = re.compile(r".*_(index|rank|number)|position")
_QUANTILE = re.compile(r"p\d\d_.*")
_TIME = ("DATE", "TIMESTAMP")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")
_RESERVED = re.compile(
    "all|and|any|as|by|case|cross|cube|current|date|day|end|filter|from|grant|group|having|hour|in|into|is|join|left|like|"
    "limit|method|minute|month|natural|no|not|null|of|on|or|order|outer|over|partition|position|range|rank|result|right|"
    "row|rows|select|set|similar|some|start|table|then|time|timestamp|to|true|union|unique|update|user|using|value|"
    "values|when|where|window|with|year"
)
"""Words that a plain column name may be, and that SQL or a tool may take for its own; these are quoted."""

Item = dict[str, Any]


def semantic_file(models: Iterable[Model], project: str) -> bytes:
    """Return the semantic model of published tables, as JSON, which is YAML too."""
    return (json.dumps(semantic_model(models, project), ensure_ascii=False, indent=1) + "\n").encode()


def semantic_model(models: Iterable[Model], project: str) -> Item:
    """Return the document of `semantic_file`."""
    tables = sorted(models, key=lambda model: model.table)
    return {
        "version": VERSION,
        "semantic_model": [
            {
                "name": "journeyflow",
                "description": f"Customer journeys, funnels and drop-off: the published tables of {project}.",
                "ai_context": {"instructions": INSTRUCTIONS},
                "datasets": [_dataset(model) for model in tables],
                "metrics": [metric for model in tables for metric in _metrics(model)],
            }
        ],
    }


def _dataset(model: Model) -> Item:
    facts = {"grain": list(model.grain or ()), "totals": list(model.metadata.measures.totals)}
    return {
        "name": model.table,
        "source": f"marts.main.{model.table}",
        **({"primary_key": list(model.grain)} if model.grain else {}),
        "description": model.metadata.description,
        "fields": [_field(model, name, column) for name, column in model.columns.items()],
        "custom_extensions": [_extension(facts)],
    }


def is_measure(model: Model, name: str) -> bool:
    """Return whether a column holds numbers to be compared or summed, and not what rows are of."""
    is_number = _NUMBER.fullmatch(model.columns[name].type) is not None
    return is_number and name not in (model.grain or ()) and not _POSITION.fullmatch(name)


def _field(model: Model, name: str, column: Column) -> Item:
    facts: Item = {"type": column.type, "unit": column.unit}
    note = ""
    field: Item = {"name": name, "expression": _expression(_identifier(name))}
    if is_measure(model, name):
        over = additive_over(model, name)
        facts |= {"role": "measure", "is_additive": bool(over), "additive_over": list(over)}
        if ratio := model.metadata.measures.ratios.get(name):
            facts["numerator"], facts["denominator"] = ratio
            note = f" Not additive: compute it as sum({ratio[0]}) / sum({ratio[1]})."
        elif over:
            note = f" May be summed over {', '.join(over)} without the row 'all', and over no other column."
        elif _QUANTILE.fullmatch(name):
            note = " Not additive: a quantile cannot be computed from those of parts."
        else:
            note = " Not additive."
    else:
        facts["role"] = "key" if name in (model.grain or ()) else "dimension"
        field["dimension"] = {"is_time": column.type in _TIME}
    unit = f" [{column.unit}]" if column.unit else ""
    return field | {"description": column.meaning + unit + note, "custom_extensions": [_extension(facts)]}


def additive_over(model: Model, name: str) -> tuple[str, ...]:
    """Return the columns of the grain over which a column may be summed; of a rate, over which its parts may be."""
    measures = model.metadata.measures
    parts = _WORD.findall(" ".join(measures.ratios.get(name, (name,))))
    return tuple(dimension for dimension, names in measures.additive.items() if all(part in names for part in parts))


def _metrics(model: Model) -> Iterator[Item]:
    """Yield a metric for each column that may be summed, and for each rate whose parts may."""
    for name, column in model.columns.items():
        ratio = model.metadata.measures.ratios.get(name)
        over = additive_over(model, name)
        if not is_measure(model, name) or not over:
            continue
        kept = " AND ".join(
            f"{_of(model, total)} <> 'all'" for total in model.metadata.measures.totals if total in over
        )
        numerator, denominator = (_sum(model, part, kept) for part in ratio or (name, name))
        fixed = [each for each in model.grain or () if each not in over]
        note = f" Group by or filter to one of each: {', '.join(fixed)}." if fixed else ""
        yield {
            "name": f"{model.table}_{name}",
            "expression": _expression(f"{numerator} / NULLIF({denominator}, 0)" if ratio else numerator),
            "description": f"{column.meaning}{note}",
            "custom_extensions": [_extension({"dataset": model.table, "group_by": fixed, "unit": column.unit})],
        }


def _sum(model: Model, expression: str, kept: str) -> str:
    qualified = _WORD.sub(lambda found: _of(model, found[0]), expression)
    return f"SUM(CASE WHEN {kept} THEN {qualified} END)" if kept else f"SUM({qualified})"


def _of(model: Model, name: str) -> str:
    return f"{model.table}.{_identifier(name)}"


def _identifier(name: str) -> str:
    return name if _PLAIN.fullmatch(name) and not _RESERVED.fullmatch(name) else word(name)


def _expression(text: str) -> Item:
    return {"dialects": [{"dialect": "ANSI_SQL", "expression": text}]}


def _extension(facts: Item) -> Item:
    """Return what the format has no place for; its vendor is one of those that every version allows."""
    return {
        "vendor_name": "COMMON",
        "data": json.dumps({key: value for key, value in facts.items() if value is not None}),
    }


DATABASE = "marts.duckdb"
KEPT_GENERATIONS = 5
CURRENT = "current.json"
COPIES = "copies.json"
_BLOCK_BYTES = 1 << 20
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


def copy_generation(generation: Path, kept: Collection[str], system: Any, root: str, key: str) -> None:  # noqa: ANN401
    """Copy a published generation to ``generations/<run_id>/`` of an object store, and then name it in `current.json`.

    Readers open `current.json` first, so that they see one whole generation. Those that this project copied before and
    that are not in `kept` are removed; `copies.json`, written before the first file, lists them.

    Parameters
    ----------
    system : pyarrow.fs.FileSystem
        The object store.
    root : str
        Bucket and folder in it.
    key : str
        What this project is known by there, and no other one.

    Raises
    ------
    InputError
        When the folder is of another project.
    OSError
        When the store cannot be read or written; `current.json` then names the generation before.
    """
    manifest = read_manifest(generation)
    copied = {*_copies(system, root, key), generation.name}
    _write_json(system, f"{root}/{COPIES}", {"key": key, "generations": sorted(copied)})
    for path in sorted(generation.iterdir()):
        with (
            path.open("rb") as file,
            system.open_output_stream(f"{root}/generations/{generation.name}/{path.name}") as out,
        ):
            shutil.copyfileobj(file, out, _BLOCK_BYTES)
    named = {"project": manifest.project, "run_id": manifest.run_id, "folder": f"generations/{generation.name}"}
    _write_json(system, f"{root}/{CURRENT}", named)
    for name in sorted(copied - {*kept, generation.name}):
        system.delete_dir(f"{root}/generations/{name}")


def withdraw_copies(system: Any, root: str, key: str) -> None:  # noqa: ANN401
    """Remove all that this project copied to an object store; raises as `copy_generation` does."""
    copied = _copies(system, root, key)
    _remove_file(system, f"{root}/{CURRENT}")
    for name in sorted(copied):
        system.delete_dir(f"{root}/generations/{name}")
    _remove_file(system, f"{root}/{COPIES}")


def _copies(system: Any, root: str, key: str) -> set[str]:  # noqa: ANN401
    """Return the names of this project's generations that are there; InputError where the folder is of another one."""
    from pyarrow import fs

    found: Any = {"key": None if _is_file(system, f"{root}/{CURRENT}") else key, "generations": []}
    if _is_file(system, f"{root}/{COPIES}"):
        with system.open_input_stream(f"{root}/{COPIES}") as stream, suppress(ValueError):
            found = json.loads(stream.read())
    if not isinstance(found, dict) or found.get("key") != key:
        raise InputError(
            "The folder of `targets.object_store.url` is of another project, or of another state folder: name one of "
            "its own, or empty it."
        )
    names = {name for name in found["generations"] if RUN_ID.fullmatch(name)}
    return {name for name in names if system.get_file_info(f"{root}/generations/{name}").type == fs.FileType.Directory}


def _remove_file(system: Any, path: str) -> None:  # noqa: ANN401
    if _is_file(system, path):
        system.delete_file(path)


def _is_file(system: Any, path: str) -> bool:  # noqa: ANN401
    from pyarrow import fs

    return bool(system.get_file_info(path).type == fs.FileType.File)


def _write_json(system: Any, path: str, value: Mapping[str, object]) -> None:  # noqa: ANN401
    with system.open_output_stream(path) as stream:
        stream.write(json.dumps(value, indent=2).encode() + b"\n")


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
