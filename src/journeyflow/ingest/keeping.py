"""Copies of the files that were read: `raw/<sha256>.<ext>` in the state folder, from which all can be made again."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pyarrow as pa

from journeyflow.errors import JourneyflowError
from journeyflow.ingest.files import (
    BLOCK_BYTES,
    InputFile,
    allowed_bytes,
    opened,
    wrapping_of,
)
from journeyflow.publish.files import sync

FOLDER = "raw"
OURS = "plain.zst"
"""What is not compressed yet is kept as Zstandard under this ending; everything else as it came."""
_ENDINGS = (OURS, "gz", "zst", "zip", "parquet", "plain")
_UNFINISHED = ".unfinished"


@dataclass(frozen=True)
class Kept:
    """The folder of the kept files.

    Parameters
    ----------
    state : Path
        The state folder; nothing is made in it before a file is kept.
    """

    state: Path

    @property
    def folder(self) -> Path:
        """Where the copies lie."""
        return self.state / FOLDER

    def path(self, sha256: str) -> Path | None:
        """Return the copy of a content; None when there is none."""
        # Asked by name: a list of the folder for each of thousands of files would take long.
        return next((path for path in self._places(sha256) if path.is_file()), None)

    def file(self, name: str, sha256: str, byte_count: int, kept_sha256: str | None = None) -> InputFile | None:
        """Return the copy of a content as a file to read, under the name that it came with; None without a copy.

        `kept_sha256` is the content that is kept in its place, since somebody was erased from it.
        """
        path = self.path(kept_sha256 or sha256)
        return InputFile(name, path, sha256, byte_count, is_kept=True, kept_sha256=kept_sha256) if path else None

    def keep(self, file: InputFile, staged: Path) -> None:
        """Keep a file, unless its content is kept already; the copy is wholly there or not at all.

        Parameters
        ----------
        file : InputFile
            Names the content.
        staged : Path
            Its private copy, from which the hash is known to be.

        Raises
        ------
        JourneyflowError
            When the copy cannot be written.
        """
        if self.path(file.sha256):
            return
        kind = wrapping_of(staged)
        final = self.folder / f"{file.sha256}.{OURS if kind == 'plain' else kind}"
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write(staged, final)
            if kind == "plain" and _reads_as_bomb(file, final):
                _write(staged, final.with_name(f"{file.sha256}.{kind}"))
                final.unlink()
        except OSError as error:
            raise JourneyflowError(
                f"Cannot keep a copy of {file.name} in {self.folder}: {error.strerror or type(error).__name__}. See "
                "that the disk has room, or set `retention` to keep less."
            ) from error

    def remove(self, contents: Iterable[str]) -> None:
        """Remove the copies of these contents, and what killed runs left half written."""
        for sha256 in contents:
            for path in self._places(sha256):
                path.unlink(missing_ok=True)
        for path in self.folder.glob(f"*{_UNFINISHED}"):
            path.unlink(missing_ok=True)

    def _places(self, sha256: str) -> list[Path]:
        return [self.folder / f"{sha256}.{ending}" for ending in _ENDINGS]

    def contents(self) -> Collection[str]:
        """Return the hashes of all contents that are kept."""
        found = self.folder.iterdir() if self.folder.is_dir() else ()
        return {path.name.split(".", 1)[0] for path in found if _is_finished(path) and _is_hash(path)}


def content_hash(path: Path, name: str | None = None) -> str:
    """Return the SHA-256 of the file that a kept copy was made of; `name` is the copy's, if it is another now."""
    digest = hashlib.sha256()
    if (name or path.name).endswith(f".{OURS}"):
        with opened(path) as stream:
            _pass_on(stream, digest.update)
    else:
        with path.open("rb") as stream:
            _pass_on(stream, digest.update)
    return digest.hexdigest()


def _is_finished(path: Path) -> bool:
    return not path.name.endswith(_UNFINISHED)


def _reads_as_bomb(file: InputFile, packed: Path) -> bool:
    return file.byte_count > allowed_bytes(packed.stat().st_size)


def _is_hash(path: Path) -> bool:
    stem = path.name.split(".", 1)[0]
    return len(stem) == hashlib.sha256().digest_size * 2


def _write(staged: Path, final: Path) -> None:
    fresh = final.with_name(f"{final.name}{_UNFINISHED}")
    try:
        if final.name.endswith(f".{OURS}"):
            _compress(staged, fresh)
        else:
            _link(staged, fresh)
        sync(fresh)
        fresh.replace(final)
        sync(final.parent)
    finally:
        fresh.unlink(missing_ok=True)


def _compress(staged: Path, fresh: Path) -> None:
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with (
        os.fdopen(handle, "wb") as target,
        staged.open("rb") as origin,
        pa.CompressedOutputStream(pa.PythonFile(target, mode="w"), "zstd") as packed,
    ):
        _pass_on(origin, packed.write)


def _link(staged: Path, fresh: Path) -> None:
    """Let the staged copy, which is private and soon gone, be the kept one too."""
    fresh.unlink(missing_ok=True)
    try:
        fresh.hardlink_to(staged)
    except OSError:  # Another file system, or one without links.
        shutil.copyfile(staged, fresh)
        fresh.chmod(0o600)


def _pass_on(stream: IO[bytes], *takers: Callable[[bytes], object]) -> None:
    while block := stream.read(BLOCK_BYTES):
        for take in takers:
            take(block)
