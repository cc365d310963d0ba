"""Raw store: copies of the files that were read, and the registry snapshot beside them."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from journeyflow.errors import InputError, JourneyflowError
from journeyflow.ingest.files import BLOCK_BYTES, InputFile, allowed_bytes, opened, wrapping_of
from journeyflow.utils.files import sync

if TYPE_CHECKING:
    from journeyflow.engines import DuckDBEngine


FOLDER = "raw"
OURS = "plain.zst"
"""What is not compressed yet is kept as Zstandard under this ending; everything else as it came."""
_ENDINGS = (OURS, "gz", "zst", "zip", "parquet", "plain")
_UNFINISHED = ".unfinished"


@dataclass(frozen=True)
class RawStore:
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


SNAPSHOT = "files.parquet"
"""Beside the kept files: what the ledger says of them, for a warehouse that is gone."""
_FILES = (
    "select file_ix, source, source_file, sha256, byte_count, first_loaded_at, record_count, settings_hash, is_loaded, "
    "kept_sha256 from ledger.files order by file_ix"
)
SNAPSHOT_TABLES = ("loads", "runs", "alerts", "shares", "suppressions")
"""Tables of the ledger besides `files` that landing does not make again: a rebuild takes them over."""


@dataclass(frozen=True)
class RegistrySnapshot:
    """What a warehouse remembers of its files and runs.

    Attributes
    ----------
    files : Table
        Rows of `ledger.files`.
    others : mapping of str to Table
        Rows of the tables of `REMEMBERED`; none where only the list beside the kept files is left.
    """

    files: pa.Table
    others: Mapping[str, pa.Table] = field(default_factory=dict)

    def known_to(self, run_id: str) -> RegistrySnapshot:
        """Leave out the files that came after a run."""
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
    """Return the past of a warehouse; of an empty one, what lies beside the kept files.

    Raises
    ------
    InputError
        When neither knows of a file.
    """
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
        raise InputError(f"{path}, the list of the kept files, cannot be read; put a copy of it back.") from error


def _as_listed(found: pa.Table, schema: pa.Schema) -> pa.Table:
    """Give a list that an older version wrote the columns that came since, all of them null."""
    found = found.rename_columns(["is_loaded" if name == "is_landed" else name for name in found.column_names])
    for column in schema:
        if column.name not in found.column_names:
            found = found.append_column(column, pa.nulls(found.num_rows, column.type))
    return found.select(schema.names).cast(schema)


def restore_snapshot(warehouse: DuckDBEngine, past: RegistrySnapshot) -> None:
    """Write a past into an empty warehouse; no file is landed yet."""
    warehouse.append("ledger.files", past.files)
    warehouse.execute("update ledger.files set is_loaded = false")
    for table, rows in past.others.items():
        warehouse.append(f"ledger.{table}", rows)


def write_snapshot(warehouse: DuckDBEngine, raw_store: RawStore) -> None:
    """Write down beside the kept files what the ledger says of them; wholly or not at all.

    Raises
    ------
    JourneyflowError
        When it cannot be written.
    """
    if not raw_store.folder.is_dir():
        return
    try:
        _write_snapshot(warehouse.rows(_FILES), raw_store.folder / SNAPSHOT)
    except OSError as error:
        raise JourneyflowError(
            f"Cannot write {SNAPSHOT} in {raw_store.folder}: {error.strerror or type(error).__name__}. Make room."
        ) from error


def _write_snapshot(rows: pa.Table, final: Path) -> None:
    fresh = final.with_name(f"{SNAPSHOT}.unfinished")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        pq.write_table(rows, file)
    sync(fresh)
    fresh.replace(final)
    sync(final.parent)
