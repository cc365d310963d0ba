"""Input files: discovery, content hash, compression."""

from __future__ import annotations

import glob
import gzip
import io
import os
import re
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, cast

import pyarrow as pa

from journeyflow.errors import EngineError, JourneyflowError
from journeyflow.utils.formatting import escaped

BLOCK_BYTES = 1 << 20
MAX_RATIO = 200
"""An archive may unpack to this many times its size; logs compress to a tenth or a thirtieth."""
ALWAYS_UNPACKED_BYTES = 1 << 28
"""Bytes that any archive may unpack to, however small it is."""
_MAGIC = {b"\x1f\x8b": "gz", b"\x28\xb5\x2f\xfd": "zst", b"PK\x03\x04": "zip", b"PAR1": "parquet"}
_NOT_WAITING = getattr(os, "O_NONBLOCK", 0)
_UNPACKING_ERRORS = (OSError, EOFError, zlib.error, zipfile.BadZipFile, pa.ArrowException, RuntimeError)


class RefusedFileError(Exception):
    """A file that cannot be read at all; the run continues without it and reports it.

    `reason` is a stable code, e.g. ``bad_archive``; `detail` says what is wrong and what to do, without file content.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


_OF_MACHINE = ("no space left", "io error", "connection error", "fatal error", "has been invalidated")
"""Signs of database errors that another file would meet too."""
_ERROR_KIND = re.compile(r"\b([A-Z][A-Za-z-]*(?: [A-Z][A-Za-z-]*)* Error)\b")


def concerns_file(error: Exception) -> bool:
    """Return whether an error may come from what a file holds, rather than from the machine or the configuration."""
    if isinstance(error, EngineError):
        return not any(sign in error.message.lower() for sign in _OF_MACHINE)
    return not isinstance(error, (JourneyflowError, OSError))


def why_refused(error: Exception) -> str:
    """Return a reason without any value of the file."""
    if isinstance(error, RefusedFileError):
        return error.detail
    if "Out of Memory" in str(error) or isinstance(error, MemoryError):
        return "loading its records takes more memory than a run may use"
    kind = _ERROR_KIND.search(str(error)) if isinstance(error, EngineError) else None
    return f"its records cannot be loaded ({kind[1] if kind else type(error).__name__}); please report this"


@dataclass(frozen=True)
class Version:
    """What a store says of the content of a remote file; `modified_at` is naive UTC. None is not known."""

    byte_count: int | None = None
    etag: str | None = None
    modified_at: datetime | None = None

    def is_same(self, other: Version) -> bool:
        """Return whether both are surely the same content."""
        if None not in (self.byte_count, other.byte_count) and self.byte_count != other.byte_count:
            return False
        if self.etag and other.etag:
            return self.etag == other.etag
        return self.modified_at is not None and self.modified_at == other.modified_at


@dataclass(frozen=True)
class RemoteFile:
    """A file at a URL as it was listed.

    `name` is its name in the tables. `download` returns the version that is downloaded, and its content block by block;
    both may raise RefusedFileError, which has no secret in it.
    """

    name: str
    version: Version
    download: Callable[[], tuple[Version, Iterator[bytes]]] = field(compare=False)


@dataclass(frozen=True)
class InputFile:
    """One file as the run found it: its name in the tables, its path and the hash of its content.

    An archived copy may be compressed differently from the input file that `sha256` and `byte_count` describe;
    `kept_sha256` is the hash of its content where an earlier version rewrote it. Where `archive_sha256` is given, its
    archived records are read, and `path` is not. A `remote` file has no path in the file system: it is downloaded where
    its bytes are needed.
    """

    name: str
    path: Path
    sha256: str
    byte_count: int
    is_archived: bool = False
    kept_sha256: str | None = None
    archive_sha256: str | None = None
    remote: RemoteFile | None = None

    @property
    def copy_sha256(self) -> str:
        """The hash of the content at `path`."""
        return self.kept_sha256 or self.sha256


def matching_paths(pattern: str, base: Path) -> list[Path]:
    """Return the files that a glob relative to the folder `base` matches, sorted by name."""
    pattern = os.path.relpath(base / pattern, base)  # The folder's name may hold brackets.
    found = glob.glob(pattern, root_dir=base, recursive=True)  # noqa: PTH207 — pathlib also matches hidden files.
    return sorted(path for path in (base / name for name in found) if not path.is_dir())


def regular(path: Path) -> io.BufferedReader:
    """Open a regular file for reading; refuse anything else, such as a named pipe, without waiting for it."""
    stream = open(path, "rb", opener=lambda name, flags: os.open(name, flags | _NOT_WAITING))  # noqa: SIM115
    if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        stream.close()
        raise RefusedFileError("unreadable", "it is no regular file")
    return stream


def shown_name(path: Path, base: Path) -> str:
    """Return the name of a file for tables and messages: relative to `base`, control characters escaped."""
    return escaped(Path(os.path.relpath(path, base)).as_posix())


def wrapping_of(path: Path) -> str:
    """Return the container of a file by its first bytes: ``gz``, ``zst``, ``zip``, ``parquet`` or ``plain``.

    Extensions are unreliable: exports named `.parquet.zst` are often plain Parquet.
    """
    try:
        with regular(path) as stream:
            return kind_of(stream.read(4))
    except OSError as error:
        raise RefusedFileError("unreadable", f"the file cannot be read ({type(error).__name__})") from error


def kind_of(head: bytes) -> str:
    """Return the container that begins with these bytes; ``plain`` when none is known."""
    return next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), "plain")


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for reading; gzip, Zstandard and one-member zip files are unpacked.

    Checksums are verified on the way, so a damaged archive raises RefusedFileError before its last block is returned.
    """
    try:
        kind = wrapping_of(path)
        with regular(path) as stream:
            if kind == "gz":
                with gzip.open(stream) as unpacked:
                    yield _metered(unpacked.readinto, path)
            elif kind == "zst":
                with pa.CompressedInputStream(pa.PythonFile(stream, mode="r"), "zstd") as unpacked_zst:
                    yield _metered(unpacked_zst.readinto, path)
            elif kind == "zip":
                with zipfile.ZipFile(stream) as archive, archive.open(_only_member(archive)) as member:
                    yield _metered(cast("zipfile.ZipExtFile", member).readinto, path)
            else:
                yield stream
    except _UNPACKING_ERRORS as error:
        raise RefusedFileError("bad_archive", f"the file is damaged or cut short ({type(error).__name__})") from error


def _only_member(archive: zipfile.ZipFile) -> str:
    names = [i.filename for i in archive.infolist() if not i.is_dir() and not i.filename.startswith("__MACOSX/")]
    if len(names) != 1:
        raise RefusedFileError("bad_archive", f"the zip holds {len(names)} files; give it exactly one")
    return names[0]


def allowed_bytes(byte_count: int) -> int:
    """Return how many bytes a file of this size may unpack to."""
    return max(ALWAYS_UNPACKED_BYTES, MAX_RATIO * byte_count)


def _metered(read: Callable[[memoryview], int | None], path: Path) -> IO[bytes]:
    return cast("IO[bytes]", io.BufferedReader(_Metered(read, allowed_bytes(path.stat().st_size)), BLOCK_BYTES))


class _Metered(io.RawIOBase):
    """An unpacked stream that refuses the file once it exceeds its limit."""

    def __init__(self, read: Callable[[memoryview], int | None], allowed: int) -> None:
        self._read = read
        self._left = allowed

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        count = self._read(buffer) or 0
        self._left -= count
        if self._left < 0:
            raise RefusedFileError("bomb", f"the archive unpacks to more than {MAX_RATIO} times its size; unpack it")
        return count
