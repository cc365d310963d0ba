"""Input files: discovery, content hash, compression."""

from __future__ import annotations

import glob
import gzip
import io
import os
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import pyarrow as pa

from journeyflow.utils.formatting import escaped

BLOCK_BYTES = 1 << 20
MAX_RATIO = 200
"""Times its size that an archive may unpack to; logs pack to a tenth or a thirtieth."""
ALWAYS_UNPACKED_BYTES = 1 << 28
"""What any archive may unpack to, however small it is."""
_MAGIC = {b"\x1f\x8b": "gz", b"\x28\xb5\x2f\xfd": "zst", b"PK\x03\x04": "zip", b"PAR1": "parquet"}
_NOT_WAITING = getattr(os, "O_NONBLOCK", 0)
_UNPACKING_ERRORS = (OSError, EOFError, zlib.error, zipfile.BadZipFile, pa.ArrowException, RuntimeError)


class RefusedFileError(Exception):
    """A file that cannot be read at all; the run goes on without it and reports it.

    Parameters
    ----------
    reason : str
        Stable code, e.g. ``bad_archive``.
    detail : str
        What is wrong and what to do, without a value of the file.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True)
class InputFile:
    """One file as it was when the run met it: its name in the tables, where it lies, and its content's hash.

    `is_kept` tells a copy of our own, which may be compressed otherwise than the file that its hash and size are of;
    `kept_sha256` is the hash of its content where that is another, because somebody was erased from it.
    """

    name: str
    path: Path
    sha256: str
    byte_count: int
    is_kept: bool = False
    kept_sha256: str | None = None

    @property
    def copy_sha256(self) -> str:
        """The hash of what lies at `path`."""
        return self.kept_sha256 or self.sha256


def matching_paths(pattern: str, base: Path) -> list[Path]:
    """List what a pattern of the configuration matches, sorted by name; folders are left out.

    Parameters
    ----------
    pattern : str
        Path or glob, relative to `base`; ``**`` matches folders.
    base : Path
        Folder of the configuration file.
    """
    pattern = os.path.relpath(base / pattern, base)  # The folder's own name may hold brackets, which are no pattern.
    found = glob.glob(pattern, root_dir=base, recursive=True)  # noqa: PTH207 — pathlib's finds hidden files too.
    return sorted(path for path in (base / name for name in found) if not path.is_dir())


def regular(path: Path) -> io.BufferedReader:
    """Open a regular file for reading; without waiting where somebody put a named pipe in its place.

    Raises
    ------
    RefusedFileError
        When it is anything else, such as a device that never ends.
    """
    stream = open(path, "rb", opener=lambda name, flags: os.open(name, flags | _NOT_WAITING))  # noqa: SIM115
    if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        stream.close()
        raise RefusedFileError("unreadable", "it is no regular file")
    return stream


def shown_name(path: Path, base: Path) -> str:
    """Name a file in tables and messages: relative to the configuration, with what could act on a screen as codes."""
    return escaped(Path(os.path.relpath(path, base)).as_posix())


def wrapping_of(path: Path) -> str:
    """Say by its first bytes how a file is wrapped: ``gz``, ``zst``, ``zip``, ``parquet`` or ``plain``.

    The extension is not asked: exports named `.parquet.zst` are often plain Parquet.

    Raises
    ------
    RefusedFileError
        When the file cannot be read, for it was there a moment ago.
    """
    try:
        with regular(path) as stream:
            return kind_of(stream.read(4))
    except OSError as error:
        raise RefusedFileError("unreadable", f"the file cannot be read ({type(error).__name__})") from error


def kind_of(head: bytes) -> str:
    """Name the container that begins with these bytes; ``plain`` when it is none that is known."""
    return next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), "plain")


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for reading what is inside it: gzip, Zstandard and one-member zip files are unpacked.

    Checksums are verified on the way, so a damaged archive raises before its last block is handed out as good.

    Raises
    ------
    RefusedFileError
        When the archive is damaged, cut short, or holds several files.
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
    """Return what a file of this size may unpack to."""
    return max(ALWAYS_UNPACKED_BYTES, MAX_RATIO * byte_count)


def _metered(read: Callable[[memoryview], int | None], path: Path) -> IO[bytes]:
    return cast("IO[bytes]", io.BufferedReader(_Metered(read, allowed_bytes(path.stat().st_size)), BLOCK_BYTES))


class _Metered(io.RawIOBase):
    """What is unpacked, until it is more than an honest archive holds."""

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
