"""Raw store: originals of loaded files, where they are kept, and the registry snapshot beside them."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from journeyflow.errors import InputError, JourneyflowError
from journeyflow.ingest.files import BLOCK_BYTES, InputFile, allowed_bytes, opened, wrapping_of
from journeyflow.utils.files import replaced_file, sha256, sync

if TYPE_CHECKING:
    from journeyflow.engines import DuckDBEngine


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
