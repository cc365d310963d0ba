"""Inventory of the state folder: known files, unknown files, permissions, sizes."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from journeyflow.state.lock import FILE, HOLDER
from journeyflow.state.paths import BUILD, ERASURE, MODELS, SELECTED, WAREHOUSE

if TYPE_CHECKING:
    from journeyflow.config import Config


RAW, WORK = "raw", "work"
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
        ERASURE,
        f"{ERASURE}.unfinished",
    }
    | {f"{name}.wal" for name in (WAREHOUSE, BUILD, f"damaged-{WAREHOUSE}")}
)
"""Names that a run may leave in the state folder; a key file in it belongs there too."""
_RAW_FILE = re.compile(r"[0-9a-f]{64}\.[a-z.]+|(files|suppressions|tombstones)\.parquet(\.unfinished)?")
"""Archived files, and the lists beside them; `tombstones.parquet` is the suppression list of earlier versions."""


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
    return sorted(unknown)


def private_paths(config: Config) -> dict[Path, int]:
    """Return the modes of all paths that only their owner should access: the state folder, all in it, and the key."""
    paths = (config.state, *_below(config.state), config.privacy.key_file)
    return {path: path.lstat().st_mode for path in paths if path.exists() and not path.is_symlink()}


def writable_by_all(modes: dict[Path, int]) -> list[Path]:
    """Return the world-writable paths."""
    return [path for path, mode in modes.items() if mode & stat.S_IWOTH]


def sizes(config: Config) -> dict[str, int]:
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
