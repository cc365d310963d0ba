"""File registry: which file contents were loaded, when, and with what outcome."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import count
from typing import TYPE_CHECKING

import pyarrow as pa

from journeyflow.config.sources import Source
from journeyflow.engines import DuckDBEngine
from journeyflow.ingest.files import InputFile, Version
from journeyflow.state.warehouse import clock_jumped_from

if TYPE_CHECKING:
    from journeyflow.ingest.insert import RecordCounts


@dataclass(frozen=True)
class RegistryEntry:
    """What the registry knows of a file's content in a source."""

    file_ix: int
    first_loaded_at: datetime
    settings_hash: str
    is_loaded: bool
    archive_sha256: str | None = None
    reading_hash: str | None = None


@dataclass(frozen=True)
class RegisteredFile:
    """A registered file; `first_loaded_at` is naive UTC.

    `archive_sha256` is the hash of its archived records, and `reading_hash` that of how its bytes were read.
    `kept_sha256` is that of an original which an earlier version rewrote; blank where nothing was left of it.
    """

    source: str
    source_file: str
    sha256: str
    byte_count: int
    first_loaded_at: datetime
    is_loaded: bool
    kept_sha256: str | None = None
    archive_sha256: str | None = None
    reading_hash: str | None = None

    @property
    def copy_sha256(self) -> str:
        """The hash of its original, if that is kept."""
        return self.sha256 if self.kept_sha256 is None else self.kept_sha256

    @property
    def is_empty(self) -> bool:
        """Whether an earlier version erased all of it."""
        return self.kept_sha256 == "" and self.archive_sha256 is None


class FileRegistry:
    """The tables `ledger.files` and `ledger.loads` of a warehouse, for one run that began at `now_us`."""

    def __init__(self, warehouse: DuckDBEngine, run_id: str, now_us: int) -> None:
        self._warehouse = warehouse
        self._run_id = run_id
        self.now = datetime.fromtimestamp(now_us / 1_000_000, UTC).replace(tzinfo=None)

    @property
    def run_id(self) -> str:
        """The id of the run."""
        return self._run_id

    @cached_property
    def jumped_from(self) -> datetime | None:
        """When the last run began, if the clock may be ahead now: then nothing is removed for its age."""
        return clock_jumped_from(self._warehouse, self._run_id, self.now)

    def entries(self, source: str, contents: Sequence[str]) -> dict[str, RegistryEntry]:
        """Return the entries of the given content hashes that a source knows, by hash."""
        found = self._warehouse.rows(
            "select sha256, file_ix, first_loaded_at, settings_hash, is_loaded, archive_sha256, reading_hash "
            "from ledger.files where source = ? and sha256 in (select unnest(?))",
            [source, list(contents)],
        ).to_pylist()
        return {row.pop("sha256"): RegistryEntry(**row) for row in found}

    def loaded_sizes(self, source: str) -> set[int]:
        """Return the sizes of the loaded files of a source."""
        found = self._warehouse.rows(
            "select distinct byte_count from ledger.files where source = ? and is_loaded", [source]
        )
        return set(found["byte_count"].to_pylist())

    def unloaded(self, source: str) -> list[RegisteredFile]:
        """Return the known files of a source that are not loaded now, in the order of their first load."""
        return self._known("source = ? and not is_loaded", [source])

    def files(self) -> list[RegisteredFile]:
        """Return every known file, in the order of their first load."""
        return self._known("true", [])

    def _known(self, condition: str, values: list[str]) -> list[RegisteredFile]:
        found = self._warehouse.rows(
            "select source, source_file, sha256, byte_count, first_loaded_at, is_loaded, kept_sha256, archive_sha256, "
            f"reading_hash from ledger.files where {condition} order by file_ix",
            values or None,
        )
        return [RegisteredFile(**row) for row in found.to_pylist()]

    def loaded_with_other_settings(self, source: str, settings: str) -> list[RegisteredFile]:
        """Return the files of a source that were loaded under other settings."""
        return self._known("source = ? and is_loaded and settings_hash <> ?", [source, settings])

    def reset_source(self, source: str) -> None:
        """Delete a source's events and quarantine; the times of first loads remain."""
        files = "select file_ix from ledger.files where source = ?"
        self._warehouse.execute("delete from raw.events where source = ?", [source])
        self._warehouse.execute(f"delete from raw.quarantine where file_ix in ({files})", [source])
        self._warehouse.execute("update ledger.files set is_loaded = false where source = ?", [source])

    def first_load_at(self, files: Sequence[InputFile]) -> datetime:
        """Return the time of the first load of new files: now, or less where the clock may be ahead.

        Then it is a day after the last run or the latest change of one of the files, whatever is later.
        """
        if self.jumped_from is None:
            return self.now
        changed = [_changed_at(file) for file in files]
        return min(self.now, max(self.jumped_from, *changed) + _JUMP_TOLERANCE)

    def new_entries(
        self, settings: str, known: Sequence[RegistryEntry | None], first_loaded_at: datetime
    ) -> list[RegistryEntry]:
        """Return the entries of files that are being loaded; `record_inserted` writes them.

        A known content keeps its number and the time of its first load.
        """
        last = self._warehouse.rows("select coalesce(max(file_ix), 0) as ix from ledger.files")["ix"][0].as_py()
        numbers = count(last + 1)
        return [
            replace(entry, settings_hash=settings)
            if entry
            else RegistryEntry(next(numbers), first_loaded_at, settings, is_loaded=False)
            for entry in known
        ]

    def record_archived(self, source: str, sha256: str, archive_sha256: str, reading_hash: str) -> None:
        """Record where the records of a file are archived that was loaded before."""
        self._warehouse.execute(
            "update ledger.files set archive_sha256 = ?, reading_hash = ?, kept_sha256 = null "
            "where source = ? and sha256 = ?",
            [archive_sha256, reading_hash, source, sha256],
        )

    def unarchived(self, source: str) -> list[RegisteredFile]:
        """Return the loaded files of a source without archived records."""
        return self._known("source = ? and is_loaded and archive_sha256 is null", [source])

    def has_loaded(self, source: str) -> bool:
        """Return whether a source has ever loaded a file."""
        escaped = source.replace("'", "''")
        return self._warehouse.count("ledger.files", f"source = '{escaped}'") > 0

    def record_inserted(
        self, source: str, files: Sequence[InputFile], entries: Sequence[RegistryEntry], record_counts: Sequence[int]
    ) -> None:
        """Record files in the transaction that inserts their events; they count once `record_loaded` is called."""
        numbers = [entry.file_ix for entry in entries]
        self._warehouse.execute("delete from ledger.files where file_ix in (select unnest(?))", [numbers])
        rows = [
            {
                "file_ix": entry.file_ix,
                "source": source,
                "source_file": file.name,
                "sha256": file.sha256,
                "byte_count": file.byte_count,
                "first_loaded_at": entry.first_loaded_at,
                "record_count": record_count,
                "settings_hash": entry.settings_hash,
                "is_loaded": False,
                "archive_sha256": entry.archive_sha256,
                "reading_hash": entry.reading_hash,
            }
            for file, entry, record_count in zip(files, entries, record_counts, strict=True)
        ]
        self._warehouse.append("ledger.files", pa.Table.from_pylist(rows))

    def record_loaded(self, source: str, files: Sequence[InputFile], counts: Sequence[RecordCounts]) -> None:
        """Mark files as loaded, in the transaction that deduplicates their events."""
        self._warehouse.execute(
            "update ledger.files set is_loaded = true where source = ? and sha256 in (select unnest(?))",
            [source, [file.sha256 for file in files]],
        )
        self._add(
            *((source, file.name, each, file.sha256, "loaded", None) for file, each in zip(files, counts, strict=True))
        )

    def remote_contents(self, source: str) -> dict[str, tuple[str, Version]]:
        """Return hash and version of the remote files of a source that were downloaded, by name."""
        found = self._warehouse.rows(
            "select source_file, sha256, byte_count, etag, modified_at from ledger.remote_files where source = ?",
            [source],
        ).to_pylist()
        return {
            row["source_file"]: (row["sha256"], Version(row["byte_count"], row["etag"], row["modified_at"]))
            for row in found
        }

    def record_downloaded(self, source: str, contents: Mapping[str, tuple[str, Version]]) -> None:
        """Record hash and version of remote files, by name, once their records are loaded."""
        rows = [
            {"source": source, "source_file": name, "sha256": sha256} | vars(version)
            for name, (sha256, version) in contents.items()
        ]
        if rows:
            self._warehouse.execute(
                "delete from ledger.remote_files where source = ? and source_file in (select unnest(?))",
                [source, list(contents)],
            )
            self._warehouse.append("ledger.remote_files", pa.Table.from_pylist(rows))

    def delete_unfinished(self) -> None:
        """Delete the rows of files that a killed run had inserted and not yet deduplicated."""
        unfinished = "file_ix in (select file_ix from ledger.files where not is_loaded)"
        if self._warehouse.count("ledger.files", "not is_loaded"):
            self._warehouse.execute(f"delete from raw.events where {unfinished}")
            self._warehouse.execute(f"delete from raw.quarantine where {unfinished}")

    def record_refused(self, source: str, name: str, sha256: str | None, counts: RecordCounts, detail: str) -> None:
        """Record a file that could not be read; the next run tries it again."""
        self._add((source, name, counts, sha256, "refused", detail))

    def record_read(self, source: str, name: str, sha256: str, counts: RecordCounts) -> None:
        """Record a file of traits or spend, which every run reads again."""
        self._add((source, name, counts, sha256, "loaded", None))

    def _add(self, *loads: tuple[str, str, RecordCounts, str | None, str, str | None]) -> None:
        rows = [
            {"run_id": self._run_id, "source": source, "source_file": name}
            | {f"{outcome}_count": number for outcome, number in vars(counts).items()}
            | {"sha256": sha256, "status": status, "detail": detail}
            for source, name, counts, sha256, status, detail in loads
        ]
        self._warehouse.append("ledger.loads", pa.Table.from_pylist(rows))


_JUMP_TOLERANCE = timedelta(days=1)


def _changed_at(file: InputFile) -> datetime:
    if file.remote and file.remote.version.modified_at:
        return file.remote.version.modified_at
    try:
        seconds = file.path.stat().st_mtime
        return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
    except (OSError, ValueError, OverflowError):
        return datetime.min.replace(year=1970)


def settings_hash(source: Source, *others: object) -> str:
    """Hash the settings that decide what a file's records become, `others` of the project included.

    The path and the watermark are no part of it, nor are passive events, which are marked after loading.
    """
    content = source.model_dump(mode="json", exclude={"path", "passive", "watermark"})
    if content["sheet"] is None:
        del content["sheet"]  # Files that were loaded before there was this key are not read again.
    return hashlib.sha256(json.dumps([content, [str(o) for o in others]], sort_keys=True).encode()).hexdigest()
