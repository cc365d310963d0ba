"""Inventory of the state folder: known files, unknown files, permissions, sizes."""

from __future__ import annotations

import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from journeyflow.errors import InputError
from journeyflow.state.paths import BUILD, ERASURE, MODELS, SELECTED, WAREHOUSE
from journeyflow.utils.formatting import escaped

if TYPE_CHECKING:
    from journeyflow.config import Config
    from journeyflow.state.paths import Folders


FILE = "run.lock"
HOLDER = "run.holder.json"
RAW, WORK = "raw", "work"
AUDIENCES = "audiences"
"""Lists of audiences, a folder each."""
AUDIENCE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_AUDIENCE_FILE = re.compile(r"[a-z_]+\.(csv|json)(\.unfinished)?")
PREFECT_FOLDER = "prefect"
"""Records of the Prefect server that `journeyflow serve` starts."""
SHARED = "shared_folder.txt"
"""In the state folder while a run on Spark has relations outside it: the path of their folder."""
_SHARED_NAME = re.compile(r"journeyflow-[0-9a-f]{16}")
RUN_ID = re.compile(r"\d{8}T\d{12}")
"""The form of run ids, which are names of folders too."""
_WORK_FOLDERS = frozenset({"compact", "erasure", "scratch", "selected", "spill", "traits"})
"""What `work` holds beside the folders of runs."""
OURS = frozenset(
    {
        WAREHOUSE,
        BUILD,
        SELECTED,
        MODELS,
        f"{MODELS}.unfinished",
        f"damaged-{WAREHOUSE}",
        FILE,
        HOLDER,
        RAW,
        WORK,
        AUDIENCES,
        PREFECT_FOLDER,
        SHARED,
        ERASURE,
        f"{ERASURE}.unfinished",
    }
    | {f"{name}.wal" for name in (WAREHOUSE, BUILD, f"damaged-{WAREHOUSE}")}
)
"""Names that a run may leave in the state folder; a key file in it belongs there too."""
_KEY_SUFFIX = ".key"
_MOST_NAMED = 3
_RAW_FILE = re.compile(r"[0-9a-f]{64}\.[a-z.]+|(files|suppressions|tombstones)\.parquet(\.unfinished)?")
"""Archived files, and the lists beside them; `tombstones.parquet` is the suppression list of earlier versions."""


_SIGNS = (WAREHOUSE, BUILD, MODELS, f"damaged-{WAREHOUSE}", f"{RAW}/files.parquet", ERASURE)
"""Files by one of which a state folder is known as that of a project that has run."""
_HARMLESS = "lost+found"
"""In the root of a volume; hidden files are let be as well."""


def require_own_state(config: Config) -> None:
    """Raise InputError when the state folder is new to the product and holds other things.

    They would stand among files that runs remove, and a folder that others use is not private.
    """
    if any((config.state / name).is_file() for name in _SIGNS):
        return
    found = [path for path in foreign(config) if path.name != _HARMLESS and not path.name.startswith(".")]
    if found:
        named = ", ".join(escaped(path.relative_to(config.state)) for path in found[:_MOST_NAMED])
        raise InputError(
            f"The state folder {config.state} holds {len(found)} other things, such as {named}; it must be one of its "
            "own. Name a new folder in `state` of the configuration; nothing was changed."
        )


def clear_work(state: Path) -> None:
    """Remove what runs left in the work folder of a state folder; the caller holds the lock."""
    work = state / WORK
    for path in _work_folders(work):
        shutil.rmtree(path, ignore_errors=True)
    with suppress(OSError):  # It holds something else, or is missing.
        work.rmdir()


def clear_shared(state: Path, used: Path | None = None) -> None:
    """Remove the relations of killed runs on Spark, and remember the folder `used` from now on; call with the lock.

    InputError where they cannot be removed.
    """
    note = state / SHARED
    noted = [Path(note.read_text(encoding="utf-8"))] if note.is_file() else []
    for folder in (*noted, *([used] if used else [])):
        if not _SHARED_NAME.fullmatch(folder.name):
            continue
        shutil.rmtree(folder, ignore_errors=True)
        if folder.exists() or folder.is_symlink():
            raise InputError(
                f"{folder} is left from an earlier run and cannot be removed; it may hold events: remove it."
            )
    if used:
        note.write_text(str(used), encoding="utf-8")
    else:
        note.unlink(missing_ok=True)


def _work_folders(work: Path) -> list[Path]:
    if not work.is_dir() or work.is_symlink():
        return []
    return [path for path in work.iterdir() if _is_work(path.name) and path.is_dir() and not path.is_symlink()]


def _is_work(name: str) -> bool:
    return name in _WORK_FOLDERS or RUN_ID.fullmatch(name) is not None


def own_paths(state: Path) -> Iterator[Path]:
    """Yield the state folder and what journeyflow made in it."""
    yield state
    for path in sorted(state.iterdir()) if state.is_dir() else ():
        if path.is_symlink():
            continue
        if path.is_file() and (path.name in OURS or path.suffix == _KEY_SUFFIX):
            yield path
        elif path.name == RAW and path.is_dir():
            yield path
            yield from (each for each in sorted(path.iterdir()) if _RAW_FILE.fullmatch(each.name) and each.is_file())
        elif path.name == AUDIENCES and path.is_dir():
            yield path
            for folder in filter(_is_audience, sorted(path.iterdir())):
                yield from (folder, *(each for each in sorted(folder.iterdir()) if _is_list(each)))
        elif path.name == WORK and path.is_dir():
            yield path
            for folder in _work_folders(path):
                yield from (folder, *sorted(folder.rglob("*")))


def _is_audience(path: Path) -> bool:
    return AUDIENCE_NAME.fullmatch(path.name) is not None and path.is_dir() and not path.is_symlink()


def _is_list(path: Path) -> bool:
    return _AUDIENCE_FILE.fullmatch(path.name) is not None and path.is_file() and not path.is_symlink()


def foreign(config: Config) -> list[Path]:
    """Return the files in the state folder that journeyflow did not create, sorted."""
    if not config.state.is_dir():
        return []
    unknown = [path for path in config.state.iterdir() if path.name not in OURS and path != config.privacy.key_file]
    unknown += [path for path in config.state.iterdir() if path.name in OURS and path.is_symlink()]
    kept = config.state / RAW
    copies = kept.iterdir() if kept.is_dir() and not kept.is_symlink() else ()
    unknown += [
        path for path in copies if not _RAW_FILE.fullmatch(path.name) or path.is_symlink() or not path.is_file()
    ]
    work = config.state / WORK
    if work.is_dir() and not work.is_symlink():
        unknown += [path for path in work.iterdir() if not _is_work(path.name) or path.is_symlink()]
    audiences = config.state / AUDIENCES
    if audiences.is_dir() and not audiences.is_symlink():
        folders = list(audiences.iterdir())
        unknown += [path for path in folders if not _is_audience(path)]
        unknown += [path for folder in filter(_is_audience, folders) for path in folder.iterdir() if not _is_list(path)]
    return sorted(unknown)


def private_paths(config: Config) -> dict[Path, int]:
    """Return the modes of all paths that only their owner should access: the state folder, all in it, and the key."""
    paths = (config.state, *_below(config.state), config.privacy.key_file)
    return {path: path.lstat().st_mode for path in paths if path.exists() and not path.is_symlink()}


def writable_by_all(modes: dict[Path, int]) -> list[Path]:
    """Return the world-writable paths."""
    return [path for path, mode in modes.items() if mode & stat.S_IWOTH]


def sizes(config: Folders) -> dict[str, int]:
    """Return the sizes of a project's parts in bytes, and the numbers of archived files and generations."""
    generations = config.publish / "generations"
    there = [path for path in generations.iterdir() if path.is_dir()] if generations.is_dir() else []
    copies = [path for path in _files(config.state / RAW) if _RAW_FILE.fullmatch(path.name)]
    return {
        "warehouse_bytes": _bytes_of(config.state / WAREHOUSE, config.state / f"{WAREHOUSE}.wal"),
        "build_bytes": _bytes_of(config.state / BUILD),
        "kept_bytes": _bytes_of(*copies),
        "kept_count": sum(not path.name.startswith(("files.", "suppressions.", "tombstones.")) for path in copies),
        "generations_bytes": _bytes_of(*_files(generations)),
        "generation_count": sum(not path.name.startswith(".") for path in there),
    }


def _below(folder: Path) -> Iterator[Path]:
    return folder.rglob("*") if folder.is_dir() else iter(())


def _files(folder: Path) -> list[Path]:
    return [path for path in _below(folder) if path.is_file() and not path.is_symlink()]


def _bytes_of(*paths: Path) -> int:
    total = 0
    for path in paths:
        try:
            total += path.lstat().st_size
        except FileNotFoundError:  # A concurrent run has just removed it.
            continue
    return total
