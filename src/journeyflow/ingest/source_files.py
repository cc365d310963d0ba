"""The files of one source into the warehouse, a few a transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from journeyflow.errors import InputError
from journeyflow.ingest.files import InputFile, RefusedFileError, matching_paths, shown_name
from journeyflow.ingest.landing import Counts
from journeyflow.ingest.ledger import KnownFile
from journeyflow.ingest.storing import NOTHING, SourceStore
from journeyflow.ingest.transactions import transaction

BATCH_BYTES = 8 << 20
"""Files up to this size together are landed in one transaction, for which duplicates are searched once."""
PARQUET_BATCH_BYTES = 64 << 20
"""The same for Parquet, whose records are read where they lie and not held until the transaction ends."""
BATCH_FILES = 500
"""No more files than these are landed in one transaction."""


@dataclass(frozen=True)
class FileLoad:
    """What became of one file in this run.

    Parameters
    ----------
    source, source_file : str
        Where it belongs and its name, relative to the configuration.
    status : str
        ``loaded``, ``refused``, or ``known`` when its content had been loaded before.
    counts : Counts
        Zeros unless loaded.
    detail : str or None
        Why it was refused, and what to do.
    """

    source: str
    source_file: str
    status: str
    counts: Counts = NOTHING
    detail: str | None = None


@dataclass(frozen=True)
class SourceFiles(SourceStore):
    """The files of one source: which there are, and which are new."""

    def load(self) -> list[FileLoad]:
        """Land what is new, and again what was forgotten."""
        pattern = str(self.config.sources[self.name].path)
        paths = matching_paths(pattern, self.config.folder)
        if not paths and not self.ledger.has_loaded(self.name):
            raise InputError(
                f"Source {self.name}: no file matches {shown_name(Path(pattern), self.config.folder)}; "
                f"correct `sources.{self.name}.path` or add the files."
            )
        sizes = self.ledger.sizes(self.name)
        described = [self._described(path, sizes) for path in paths]
        self._forget_if_changed([file for file in described if isinstance(file, InputFile)])
        described += self._gone([file for file in described if isinstance(file, InputFile)])
        landed: dict[Path, FileLoad] = {}
        for batch in self._batches([file for file in described if isinstance(file, InputFile)]):
            landed |= {file.path: load for file, load in zip(batch, self._batch(batch), strict=True)}
        loads = [
            landed.get(file.path, FileLoad(self.name, file.name, "known")) if isinstance(file, InputFile) else file
            for file in described
        ]
        # One bad file that somebody sends must not end the night of a source that has loaded before.
        if loads and all(load.status == "refused" for load in loads) and not self.ledger.has_loaded(self.name):
            raise InputError(
                f"Source {self.name}: none of its {len(loads)} files can be read. The first, {loads[0].source_file}: "
                f"{loads[0].detail}."
            )
        return loads

    def load_again(self, known: list[KnownFile]) -> list[FileLoad]:
        """Land files that were landed before, all of them or none."""
        known = [file for file in known if not file.is_empty]
        files = [self._copy(file) for file in known]
        if not all(files):
            paths = matching_paths(str(self.config.sources[self.name].path), self.config.folder)
            described = [self._described(path, {each.byte_count for each in known}) for path in paths]
            there = {file.sha256: file for file in described if isinstance(file, InputFile)}
            files = [file or there.get(each.sha256) for file, each in zip(files, known, strict=True)]
        found = [file for file in files if file]
        if missing := [each.source_file for file, each in zip(files, known, strict=True) if not file]:
            raise InputError(
                f"Source {self.name}: {', '.join(missing[:5])} ({len(missing):,} of {len(known):,} files) is neither "
                "kept nor in the input. Put it back; `retention` says how long copies are kept."
            )
        loads = [load for batch in self._batches(found) for load in self._batch(batch)]
        if refused := [load for load in loads if load.status == "refused"]:
            raise InputError(f"Source {self.name}: {refused[0].source_file} cannot be read: {refused[0].detail}.")
        return loads

    def _described(self, path: Path, known_sizes: Collection[int]) -> InputFile | FileLoad:
        try:
            return self.intake.staging.describe(path, self.config.folder, known_sizes)
        except RefusedFileError as error:
            return self._refused(shown_name(path, self.config.folder), None, error.detail)

    def _forget_if_changed(self, files: list[InputFile]) -> None:
        """Read all files of the source again when its settings changed, or events of old rules would stay mixed in."""
        gone = self.ledger.landed_otherwise(self.name, self.settings_hash())
        if not gone:
            return
        there = {file.sha256 for file in files}
        missing = sorted({each.source_file for each in gone if each.sha256 not in there and not self._is_copied(each)})
        if missing:
            raise InputError(
                f"Source {self.name}: its settings changed, so all its files must be read again, but "
                f"{', '.join(missing[:5])} is no longer there. Put it back, or give the new settings a new source name."
            )
        with transaction(self.warehouse):
            self.ledger.forget(self.name)

    def _gone(self, files: list[InputFile]) -> list[InputFile]:
        """Return kept copies of what must be read again and is no longer in the input."""
        there = {file.sha256 for file in files}
        unlanded = [known for known in self.ledger.unlanded(self.name) if known.sha256 not in there]
        copies = [self._copy(known) for known in unlanded]
        return [copy for copy in copies if copy]

    def _copy(self, known: KnownFile) -> InputFile | None:
        if known.is_empty:
            return None
        return self.kept.file(known.source_file, known.sha256, known.byte_count, known.kept_sha256)

    def _is_copied(self, known: KnownFile) -> bool:
        return known.is_empty or self.kept.path(known.copy_sha256) is not None

    def _batches(self, files: list[InputFile]) -> Iterator[list[InputFile]]:
        """Yield the files whose content is new, each content once, a few at a time."""
        limit = PARQUET_BATCH_BYTES if self.config.sources[self.name].format == "parquet" else BATCH_BYTES
        batch: list[InputFile] = []
        met: set[str] = set()
        known = self.ledger.entries(self.name, [file.sha256 for file in files])
        for file in files:
            if file.sha256 in met:
                continue
            met.add(file.sha256)
            if (entry := known.get(file.sha256)) and entry.is_landed:
                # It may have been loaded before copies were kept. After an erasure it may hold who is gone.
                if entry.kept_sha256 is None and not self.warehouse.count("erased_ids"):
                    with suppress(RefusedFileError):  # It may change meanwhile; the next run reads it then.
                        self.keep(file, entry.first_loaded_at)
                self.intake.staging.release(file)
                continue
            is_full = sum(held.byte_count for held in batch) + file.byte_count > limit or len(batch) == BATCH_FILES
            if batch and is_full:
                yield batch
                batch = []
            batch.append(file)
        if batch:
            yield batch

    def _batch(self, files: list[InputFile]) -> list[FileLoad]:
        """Land some files together; nothing that was made of them stays."""
        try:
            return self._tried(files)
        finally:
            for file in files:
                self.intake.release(file, self.config.sources[self.name])

    def _tried(self, files: list[InputFile]) -> list[FileLoad]:
        """Land some files together; if one of them cannot be read, the halves of them apart."""
        try:
            self.intake.ask(files, self.config.sources[self.name])
            landed = self.land(files)
        except RefusedFileError as error:
            if middle := len(files) // 2:
                return self._tried(files[:middle]) + self._tried(files[middle:])
            return [self._refused(files[0].name, files[0], error.detail)]
        for file, counts in zip(files, landed, strict=True):
            self.progress("load", file.name, counts.record, counts.record)
        return [FileLoad(self.name, file.name, "loaded", counts) for file, counts in zip(files, landed, strict=True)]

    def _refused(self, name: str, file: InputFile | None, detail: str) -> FileLoad:
        self.ledger.record_refused(self.name, name, file.sha256 if file else None, NOTHING, detail)
        return FileLoad(self.name, name, "refused", detail=detail)
