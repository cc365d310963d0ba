"""Input files: discovery, content hash, compression; originals that are kept, and the registry snapshot beside them."""

from __future__ import annotations

import glob
import gzip
import hashlib
import io
import os
import re
import shutil
import stat
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

import pyarrow as pa
import pyarrow.parquet as pq

from journeyflow.errors import EngineError, InputError, JourneyflowError
from journeyflow.utils.files import replaced_file, sha256, sync
from journeyflow.utils.formatting import escaped

if TYPE_CHECKING:
    from journeyflow.engines import DuckDBEngine


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


FOLDER = "raw"
COMPRESSED = "plain.zst"
"""Ending of files that were not compressed and are kept as Zstandard; all others are kept unchanged."""
_ENDINGS = (COMPRESSED, "gz", "zst", "zip", "parquet", "plain")
_UNFINISHED = ".unfinished"
_HASH_LENGTH = hashlib.sha256().digest_size * 2


@dataclass(frozen=True)
class RawStore:
    """The originals of loaded files in the folder `raw` of the state folder `state`, by content hash.

    They are kept where `retention.originals` asks for it, and of files that an earlier version loaded until their
    records are archived.
    """

    state: Path

    @property
    def folder(self) -> Path:
        """The folder of the archived files."""
        return self.state / FOLDER

    def path(self, sha256: str) -> Path | None:
        """Return the archived copy of a content; None when there is none."""
        # Listing the folder for each of thousands of files would take long.
        return next((path for path in self._places(sha256) if path.is_file()), None)

    def file(self, name: str, sha256: str, byte_count: int, kept_sha256: str | None = None) -> InputFile | None:
        """Return the original of a content as a file to read under its input name; None where it is not kept.

        `kept_sha256` is the hash of the copy where an earlier version rewrote it.
        """
        path = self.path(kept_sha256 or sha256)
        return InputFile(name, path, sha256, byte_count, is_archived=True, kept_sha256=kept_sha256) if path else None

    def add(self, file: InputFile, copy: Path) -> None:
        """Archive a file from its private copy, unless its content is archived; the result is complete or absent."""
        if self.path(file.sha256):
            return
        kind = wrapping_of(copy)
        final = self.folder / f"{file.sha256}.{COMPRESSED if kind == 'plain' else kind}"
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write(copy, final)
            if kind == "plain" and file.byte_count > allowed_bytes(final.stat().st_size):
                # Read back, it would be refused as an archive that unpacks to too much.
                _write(copy, final.with_name(f"{file.sha256}.{kind}"))
                final.unlink()
        except OSError as error:
            raise JourneyflowError(
                f"Cannot keep a copy of {file.name} in {self.folder}: {error.strerror or type(error).__name__}. See "
                "that the disk has room, or set `retention` to keep less."
            ) from error

    def remove(self, contents: Iterable[str]) -> None:
        """Remove the copies of these contents, and unfinished files of killed runs."""
        for content in contents:
            for path in self._places(content):
                path.unlink(missing_ok=True)
        for path in self.folder.glob(f"*{_UNFINISHED}"):
            path.unlink(missing_ok=True)

    def _places(self, sha256: str) -> list[Path]:
        return [self.folder / f"{sha256}.{ending}" for ending in _ENDINGS]

    def contents(self) -> Collection[str]:
        """Return the hashes of all archived contents."""
        found = self.folder.iterdir() if self.folder.is_dir() else ()
        named = (path.name.split(".", 1) for path in found if "." in path.name)
        return {stem for stem, ending in named if len(stem) == _HASH_LENGTH and ending in _ENDINGS}


def content_hash(path: Path, name: str | None = None) -> str:
    """Return the content hash of an archived copy; `name` is its name in the archive, where `path` has another."""
    if not (name or path.name).endswith(f".{COMPRESSED}"):
        return sha256(path)
    digest = hashlib.sha256()
    with opened(path) as stream:
        while block := stream.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _write(copy: Path, final: Path) -> None:
    fresh = final.with_name(f"{final.name}{_UNFINISHED}")
    try:
        if final.name.endswith(f".{COMPRESSED}"):
            _compress(copy, fresh)
        else:
            _link(copy, fresh)
        sync(fresh)
        fresh.replace(final)
        sync(final.parent)
    finally:
        fresh.unlink(missing_ok=True)


def _compress(copy: Path, fresh: Path) -> None:
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with (
        os.fdopen(handle, "wb") as target,
        copy.open("rb") as origin,
        pa.CompressedOutputStream(pa.PythonFile(target, mode="w"), "zstd") as packed,
    ):
        shutil.copyfileobj(origin, packed, BLOCK_BYTES)


def _link(copy: Path, fresh: Path) -> None:
    """Hard-link the private copy, which is removed soon, into the archive."""
    fresh.unlink(missing_ok=True)
    try:
        fresh.hardlink_to(copy)
    except OSError:  # Another file system, or one without links.
        shutil.copyfile(copy, fresh)
        fresh.chmod(0o600)


SNAPSHOT = "files.parquet"
"""In the raw store: the registry of its files, for a rebuild without the warehouse."""
_FILES = (
    "select file_ix, source, source_file, sha256, byte_count, first_loaded_at, record_count, settings_hash, is_loaded, "
    "kept_sha256, archive_sha256, reading_hash from ledger.files order by file_ix"
)
SNAPSHOT_TABLES = ("loads", "runs", "alerts", "shares", "suppressions", "remote_files")
"""Tables of the schema `ledger` besides `files` that reloading does not restore: a rebuild copies them."""


@dataclass(frozen=True)
class RegistrySnapshot:
    """The rows of `ledger.files` and of `SNAPSHOT_TABLES`; the latter are absent in the snapshot of the raw store."""

    files: pa.Table
    others: Mapping[str, pa.Table] = field(default_factory=dict)

    def known_to(self, run_id: str) -> RegistrySnapshot:
        """Return the snapshot without files that were loaded after a run."""
        if "loads" not in self.others:
            return self
        firsts: dict[tuple[str, str], str] = {}
        for row in self.others["loads"].select(["run_id", "source", "sha256", "status"]).to_pylist():
            if row["status"] == "loaded":
                key = (row["source"], row["sha256"])
                firsts[key] = min(row["run_id"], firsts.get(key, row["run_id"]))
        rows = self.files.select(["source", "sha256"]).to_pylist()
        is_known = [firsts.get((row["source"], row["sha256"]), "") <= run_id for row in rows]
        return RegistrySnapshot(self.files.filter(pa.array(is_known, pa.bool_())), self.others)


def read_snapshot(warehouse: DuckDBEngine, raw_store: RawStore) -> RegistrySnapshot:
    """Return the snapshot of a warehouse; of an empty one, that of the raw store."""
    files = warehouse.rows(_FILES)
    if files.num_rows:
        return RegistrySnapshot(
            files, {table: warehouse.rows(f"select * from ledger.{table}") for table in SNAPSHOT_TABLES}
        )
    path = raw_store.folder / SNAPSHOT
    try:
        return RegistrySnapshot(_as_listed(pq.read_table(path), files.schema))
    except FileNotFoundError as error:
        raise InputError(
            f"Nothing is known of any file: the warehouse is empty and there is no {path}. Run `journeyflow run`."
        ) from error
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}, the list of the archived files, cannot be read; put a copy of it back.") from error


def _as_listed(found: pa.Table, schema: pa.Schema) -> pa.Table:
    """Convert a snapshot of an older version: columns that were added since are null."""
    found = found.rename_columns(["is_loaded" if name == "is_landed" else name for name in found.column_names])
    for column in schema:
        if column.name not in found.column_names:
            found = found.append_column(column, pa.nulls(found.num_rows, column.type))
    return found.select(schema.names).cast(schema)


def restore_snapshot(warehouse: DuckDBEngine, snapshot: RegistrySnapshot) -> None:
    """Write a snapshot into an empty warehouse; no file counts as loaded yet."""
    warehouse.append("ledger.files", snapshot.files)
    warehouse.execute("update ledger.files set is_loaded = false")
    for table, rows in snapshot.others.items():
        warehouse.append(f"ledger.{table}", rows)


def write_snapshot(warehouse: DuckDBEngine, raw_store: RawStore) -> None:
    """Write the registry into the raw store, atomically."""
    if not raw_store.folder.is_dir():
        return
    try:
        with replaced_file(raw_store.folder / SNAPSHOT) as file:
            pq.write_table(warehouse.rows(_FILES), file)
    except OSError as error:
        raise JourneyflowError(
            f"Cannot write {SNAPSHOT} in {raw_store.folder}: {error.strerror or type(error).__name__}. Make room."
        ) from error
