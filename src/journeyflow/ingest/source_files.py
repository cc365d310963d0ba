"""The files of one source into the warehouse, a few a transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from journeyflow.config import Config
from journeyflow.engines import DuckDBEngine
from journeyflow.errors import InputError
from journeyflow.ingest.files import InputFile, RefusedFileError, matching_paths, shown_name
from journeyflow.ingest.intake import Intake
from journeyflow.ingest.keeping import Kept
from journeyflow.ingest.landing import Counts, land, next_event_ix, settle_duplicates
from journeyflow.ingest.ledger import Entry, KnownFile, Ledger, settings_hash
from journeyflow.ingest.preparing import CLEANING, FLOOR, prepare
from journeyflow.ingest.reading import read_records
from journeyflow.ingest.rewriting import count_erased, remember_places, rewrite
from journeyflow.ingest.transactions import transaction
from journeyflow.progress import Progress

NOTHING = Counts()

BATCH_BYTES = 8 << 20
"""Files up to this size together are landed in one transaction, for which duplicates are searched once."""
PARQUET_BATCH_BYTES = 64 << 20
"""The same for Parquet, whose records are read where they lie and not held until the transaction ends."""


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
class SourceFiles:
    """The files of one source: which there are, which are new, and how they land."""

    config: Config
    warehouse: DuckDBEngine
    ledger: Ledger
    name: str
    progress: Progress
    kept: Kept
    intake: Intake

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
        gone = self.ledger.landed_otherwise(self.name, self._settings_hash())
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
        for file in files:
            if file.sha256 in met:
                continue
            met.add(file.sha256)
            if (entry := self.ledger.entry(self.name, file.sha256)) and entry.is_landed:
                # It may have been loaded before copies were kept. After an erasure it may hold who is gone.
                if entry.kept_sha256 is None and not self.warehouse.count("erased_ids"):
                    with suppress(RefusedFileError):  # It may change meanwhile; the next run reads it then.
                        self._keep(file, entry.first_loaded_at)
                self.intake.staging.release(file)
                continue
            if batch and sum(held.byte_count for held in batch) + file.byte_count > limit:
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
        """Land some files together; if one of them cannot be read, each by itself."""
        try:
            self.intake.ask(files, self.config.sources[self.name])
            landed = self._land(files)
        except RefusedFileError as error:
            if len(files) > 1:
                return [load for file in files for load in self._tried([file])]
            return [self._refused(files[0].name, files[0], error.detail)]
        for file, counts in zip(files, landed, strict=True):
            self.progress("load", file.name, counts.record, counts.record)
        return [FileLoad(self.name, file.name, "loaded", counts) for file, counts in zip(files, landed, strict=True)]

    def _land(self, files: list[InputFile]) -> list[Counts]:
        """Land files in one transaction and settle their duplicates in a second one.

        What was inserted and deleted in one transaction would be written to the database a second time. Should the
        process end between the two, the next run takes the files out and reads them again.
        """
        first_ix = next_event_ix(self.warehouse)
        with transaction(self.warehouse):
            landed = dict(self._land_file(file) for file in files)
        with transaction(self.warehouse):
            settled = settle_duplicates(self.warehouse, first_ix)
            loaded = [counts + settled.get(file_ix, NOTHING) for file_ix, counts in landed.items()]
            for file, counts in zip(files, loaded, strict=True):
                self.ledger.record_settled(self.name, file, counts)
        return loaded

    def _land_file(self, file: InputFile) -> tuple[int, Counts]:
        self.progress("load", file.name, 0)
        source = self.config.sources[self.name]
        entry = self.ledger.new_entry(self._settings_hash(), self.ledger.entry(self.name, file.sha256))
        with read_records(self.warehouse, self.intake, file, source) as raw:
            prepare(self.warehouse, self.config, self.name, raw, entry.first_loaded_at)
            counts = land(self.warehouse, file, entry.file_ix, raw)
            remember_places(self.warehouse, raw)
        entry = self._kept(file, entry, counts)
        self.ledger.record_unsettled(self.name, file, entry, counts.record - counts.erased)
        return entry.file_ix, counts

    def _keep(self, file: InputFile, first_loaded_at: datetime) -> None:
        """Keep a copy before the ledger says that the file is landed: what is landed can always be made again."""
        if file.is_kept or is_over(self.config, self.name, first_loaded_at, self.ledger.now):
            return
        if not self.kept.path(file.sha256):
            self.kept.keep(file, self.intake.staging.path(file))

    def _kept(self, file: InputFile, entry: Entry, counts: Counts) -> Entry:
        """Keep a file as it came, or without the records of people who were erased."""
        others = self.ledger.kept_otherwise(file.sha256)
        if not counts.erased and others is None:
            self._keep(file, entry.first_loaded_at)
            return entry
        if is_over(self.config, self.name, entry.first_loaded_at, self.ledger.now) and not file.is_kept:
            return entry
        # Another source may have taken out records of the same file already: what it left is what we take ours from.
        if others is not None and others != file.kept_sha256:
            other = self.kept.file(file.name, file.sha256, file.byte_count, others)
            first = entry.first_loaded_at
            if not other or not count_erased(self.warehouse, self.intake, self.config, self.name, other, first):
                return replace(entry, kept_sha256=others)
            file = other
        elif not counts.erased:
            return replace(entry, kept_sha256=others)
        kept_sha256 = rewrite(self.warehouse, self.intake, self.config, self.name, file, self.kept)
        self.ledger.record_rewritten(file.sha256, kept_sha256)
        return replace(entry, kept_sha256=kept_sha256)

    def _refused(self, name: str, file: InputFile | None, detail: str) -> FileLoad:
        self.ledger.record_refused(self.name, name, file.sha256 if file else None, NOTHING, detail)
        return FileLoad(self.name, name, "refused", detail=detail)

    def _settings_hash(self) -> str:
        config = self.config
        return settings_hash(
            config.sources[self.name], config.clock_skew, config.privacy.keep_query_params, FLOOR, CLEANING
        )


def is_over(config: Config, source: str, first_loaded_at: datetime, now: datetime) -> bool:
    """Tell whether a file of a source, first met at a time, is no longer to be kept; times are naive UTC."""
    span = config.retention.span(source)
    return span is not None and first_loaded_at + span <= now
