"""Packaged folders, and durable files: hash, sync, atomic link."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from journeyflow.errors import JourneyflowError

_PACKAGE = Path(__file__).parents[1]
_CHECKOUT = _PACKAGE.parent.parent


def sql_folder() -> Path:
    """Return the folder of the SQL models."""
    return _found("sql", "sql")


def sample_folder() -> Path:
    """Return the folder of the sample data and its configuration."""
    return _found("sample", "data/sample")


def pipelines_folder() -> Path:
    """Return the folder of the Prefect flows."""
    return _found("pipelines", "pipelines")


def _found(installed: str, checkout: str) -> Path:
    for folder in (_PACKAGE / installed, _CHECKOUT / checkout):
        if folder.is_dir():
            return folder
    raise JourneyflowError(f"The packaged folder {installed}/ is missing; install journeyflow again.")


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync(path: Path) -> None:
    """Flush a file, or a folder's directory entries, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_tree(folder: Path) -> None:
    """`sync` every file of `folder`, then the folder."""
    for path in sorted(folder.iterdir()):
        sync(path)
    sync(folder)


@contextmanager
def replaced_file(final: Path) -> Iterator[IO[bytes]]:
    """Write a file for its owner only; it takes the place of `final` once it is complete and synced."""
    fresh = final.with_name(f"{final.name}.unfinished")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        yield file
    sync(fresh)
    fresh.replace(final)
    sync(final.parent)


def point(link: Path, target: str) -> None:
    """Create or atomically replace the symbolic link `link` to `target`, a path relative to the link's folder."""
    temporary = link.with_name(f".{link.name}.new")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    temporary.replace(link)
    sync(link.parent)
