"""Load all sources into the warehouse: new files in batches, each batch one transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from journeyflow.config import Config
from journeyflow.engines import DuckDBEngine
from journeyflow.errors import InputError
from journeyflow.ingest import suppression
from journeyflow.ingest.file_registry import FileRegistry, RegisteredFile, RegistryEntry, settings_hash
from journeyflow.ingest.files import InputFile, RefusedFileError, matching_paths, shown_name
from journeyflow.ingest.insert import RecordCounts, deduplicate, insert_records, next_event_ix
from journeyflow.ingest.parser.copy import InputParser, ParsedFile, open_input_parser, parsed_file, read_together
from journeyflow.ingest.raw_store import RawStore, RegistrySnapshot, restore_snapshot, write_snapshot
from journeyflow.ingest.rewrite import count_erased, remember_places, rewrite
from journeyflow.ingest.suppression import register_suppression
from journeyflow.ingest.validate import CLEANING, FLOOR, prepare
from journeyflow.state.secret_key import person_secret, set_hash_keys
from journeyflow.state.warehouse import transaction
from journeyflow.utils.progress import Progress, silent

NOTHING = RecordCounts()

SMALL_BYTES = 1 << 20
"""Files up to this size that are alike are landed by the same statements, which cost more than such a file."""


@dataclass(frozen=True)
class PendingFile:
    """A file on its way into the warehouse."""

    file: InputFile
    entry: RegistryEntry
    parsed: ParsedFile

    def is_like(self, other: PendingFile) -> bool:
        """Tell whether the same statements can land both."""
        is_small = max(self.file.byte_count, other.file.byte_count) <= SMALL_BYTES
        is_met_at_once = self.entry.first_loaded_at == other.entry.first_loaded_at
        return is_small and is_met_at_once and self.parsed.is_like(other.parsed)


@dataclass(frozen=True)
class SourceWriter:
    """How files of one source land.

    Parameters
    ----------
    config, name
        The project and the source.
    warehouse, ledger
        Where records go, and what is known of files.
    progress
        Told of each file.
    kept
        Where copies lie.
    intake
        Parses files.
    """

    config: Config
    warehouse: DuckDBEngine
    registry: FileRegistry
    name: str
    progress: Progress
    raw_store: RawStore
    input_parser: InputParser

    def land(self, files: list[InputFile]) -> list[RecordCounts]:
        """Land files in one transaction and settle their duplicates in a second one.

        What was inserted and deleted in one transaction would be written to the database a second time. Should the
        process end between the two, the next run takes the files out and reads them again.
        """
        first_ix = next_event_ix(self.warehouse)
        with transaction(self.warehouse):
            landed: dict[int, RecordCounts] = {}
            for group in self._alike(files):
                landed |= self._load_alike(group)
        with transaction(self.warehouse):
            settled = deduplicate(self.warehouse, first_ix)
            loaded = [counts + settled.get(file_ix, NOTHING) for file_ix, counts in landed.items()]
            self.registry.record_settled(self.name, files, loaded)
        return loaded

    def _alike(self, files: list[InputFile]) -> Iterator[list[PendingFile]]:
        """Yield the files in groups that the same statements can land; a large one, or one like no other, by itself."""
        known = self.registry.entries(self.name, [file.sha256 for file in files])
        entries = self.registry.new_entries(self.settings_hash(), [known.get(file.sha256) for file in files])
        group: list[PendingFile] = []
        for file, entry in zip(files, entries, strict=True):
            self.progress("load", file.name, 0)
            landing = PendingFile(file, entry, parsed_file(self.input_parser, file, self.config.sources[self.name]))
            if group and not landing.is_like(group[-1]):
                yield group
                group = []
            group.append(landing)
        yield group

    def _load_alike(self, group: list[PendingFile]) -> dict[int, RecordCounts]:
        files, entries = [each.file for each in group], [each.entry for each in group]
        with read_together(self.warehouse, [each.parsed for each in group], self.config.sources[self.name]) as raw:
            prepare(self.warehouse, self.config, self.name, raw, entries[0].first_loaded_at)
            landed = insert_records(self.warehouse, [(each.file, each.entry.file_ix) for each in group], raw)
            if len(group) == 1:
                remember_places(self.warehouse, raw)
        others = self.registry.kept_otherwise([file.sha256 for file in files])
        entries = [
            self._kept(file, entry, counts, others.get(file.sha256), is_alone=len(group) == 1)
            for file, entry, counts in zip(files, entries, landed, strict=True)
        ]
        self.registry.record_unsettled(self.name, files, entries, [counts.record - counts.erased for counts in landed])
        return {entry.file_ix: counts for entry, counts in zip(entries, landed, strict=True)}

    def keep(self, file: InputFile, first_loaded_at: datetime) -> None:
        """Keep a copy before the ledger says that the file is landed: what is landed can always be made again."""
        if file.is_kept or is_over(self.config, self.name, first_loaded_at, self.registry.now):
            return
        if not self.raw_store.path(file.sha256):
            self.raw_store.keep(file, self.input_parser.staging.path(file))

    def _kept(
        self, file: InputFile, entry: RegistryEntry, counts: RecordCounts, others: str | None, *, is_alone: bool
    ) -> RegistryEntry:
        """Keep a file as it came, or without the records of people who were erased.

        `others` is what is kept of its content where other sources, or earlier erasures, took records out.
        """
        if not counts.erased and others is None:
            self.keep(file, entry.first_loaded_at)
            return entry
        if is_over(self.config, self.name, entry.first_loaded_at, self.registry.now) and not file.is_kept:
            return entry
        # Another source may have taken out records of the same file already: what it left is what we take ours from.
        if others is not None and others != file.kept_sha256:
            other = self.raw_store.file(file.name, file.sha256, file.byte_count, others)
            if not other or not self._count_erased(other, entry):
                return replace(entry, kept_sha256=others)
            file = other
        elif not counts.erased:
            return replace(entry, kept_sha256=others)
        elif not is_alone:
            self._count_erased(file, entry)
        kept_sha256 = rewrite(self.warehouse, self.input_parser, self.config, self.name, file, self.raw_store)
        self.registry.record_rewritten(file.sha256, kept_sha256)
        return replace(entry, kept_sha256=kept_sha256)

    def _count_erased(self, file: InputFile, entry: RegistryEntry) -> int:
        first = entry.first_loaded_at
        return count_erased(self.warehouse, self.input_parser, self.config, self.name, file, first)

    def settings_hash(self) -> str:
        """Return the hash of all that decides what a record of the source becomes."""
        config = self.config
        return settings_hash(
            config.sources[self.name], config.clock_skew, config.privacy.keep_query_params, FLOOR, CLEANING
        )


def is_over(config: Config, source: str, first_loaded_at: datetime, now: datetime) -> bool:
    """Tell whether a file of a source, first met at a time, is no longer to be kept; times are naive UTC."""
    span = config.retention.span(source)
    return span is not None and first_loaded_at + span <= now


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
    counts: RecordCounts = NOTHING
    detail: str | None = None


@dataclass(frozen=True)
class SourceLoader(SourceWriter):
    """The files of one source: which there are, and which are new."""

    def load(self) -> list[FileLoad]:
        """Land what is new, and again what was forgotten."""
        pattern = str(self.config.sources[self.name].path)
        paths = matching_paths(pattern, self.config.folder)
        if not paths and not self.registry.has_loaded(self.name):
            raise InputError(
                f"Source {self.name}: no file matches {shown_name(Path(pattern), self.config.folder)}; "
                f"correct `sources.{self.name}.path` or add the files."
            )
        sizes = self.registry.sizes(self.name)
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
        if loads and all(load.status == "refused" for load in loads) and not self.registry.has_loaded(self.name):
            raise InputError(
                f"Source {self.name}: none of its {len(loads)} files can be read. The first, {loads[0].source_file}: "
                f"{loads[0].detail}."
            )
        return loads

    def load_again(self, known: list[RegisteredFile]) -> list[FileLoad]:
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
            return self.input_parser.staging.describe(path, self.config.folder, known_sizes)
        except RefusedFileError as error:
            return self._refused(shown_name(path, self.config.folder), None, error.detail)

    def _forget_if_changed(self, files: list[InputFile]) -> None:
        """Read all files of the source again when its settings changed, or events of old rules would stay mixed in."""
        gone = self.registry.loaded_with_other_settings(self.name, self.settings_hash())
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
            self.registry.forget(self.name)

    def _gone(self, files: list[InputFile]) -> list[InputFile]:
        """Return kept copies of what must be read again and is no longer in the input."""
        there = {file.sha256 for file in files}
        unloaded = [known for known in self.registry.unloaded(self.name) if known.sha256 not in there]
        copies = [self._copy(known) for known in unloaded]
        return [copy for copy in copies if copy]

    def _copy(self, known: RegisteredFile) -> InputFile | None:
        if known.is_empty:
            return None
        return self.raw_store.file(known.source_file, known.sha256, known.byte_count, known.kept_sha256)

    def _is_copied(self, known: RegisteredFile) -> bool:
        return known.is_empty or self.raw_store.path(known.copy_sha256) is not None

    def _batches(self, files: list[InputFile]) -> Iterator[list[InputFile]]:
        """Yield the files whose content is new, each content once, a few at a time."""
        limit = PARQUET_BATCH_BYTES if self.config.sources[self.name].format == "parquet" else BATCH_BYTES
        batch: list[InputFile] = []
        met: set[str] = set()
        known = self.registry.entries(self.name, [file.sha256 for file in files])
        for file in files:
            if file.sha256 in met:
                continue
            met.add(file.sha256)
            if (entry := known.get(file.sha256)) and entry.is_loaded:
                # It may have been loaded before copies were kept. After an erasure it may hold who is gone.
                if entry.kept_sha256 is None and not self.warehouse.count("erased_ids"):
                    with suppress(RefusedFileError):  # It may change meanwhile; the next run reads it then.
                        self.keep(file, entry.first_loaded_at)
                self.input_parser.staging.release(file)
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
                self.input_parser.release(file, self.config.sources[self.name])

    def _tried(self, files: list[InputFile]) -> list[FileLoad]:
        """Land some files together; if one of them cannot be read, the halves of them apart."""
        try:
            self.input_parser.ask(files, self.config.sources[self.name])
            landed = self.land(files)
        except RefusedFileError as error:
            if middle := len(files) // 2:
                return self._tried(files[:middle]) + self._tried(files[middle:])
            return [self._refused(files[0].name, files[0], error.detail)]
        for file, counts in zip(files, landed, strict=True):
            self.progress("load", file.name, counts.record, counts.record)
        return [FileLoad(self.name, file.name, "loaded", counts) for file, counts in zip(files, landed, strict=True)]

    def _refused(self, name: str, file: InputFile | None, detail: str) -> FileLoad:
        self.registry.record_refused(self.name, name, file.sha256 if file else None, NOTHING, detail)
        return FileLoad(self.name, name, "refused", detail=detail)


@dataclass(frozen=True)
class IngestResult:
    """What became of all files of a run, in the order of sources and names."""

    files: tuple[FileLoad, ...] = ()

    @property
    def refused(self) -> tuple[FileLoad, ...]:
        """Files that could not be read; the others were loaded all the same."""
        return tuple(file for file in self.files if file.status == "refused")

    @property
    def counts(self) -> RecordCounts:
        """Sums over all files."""
        return sum((file.counts for file in self.files), NOTHING)


def load_events(
    config: Config,
    warehouse: DuckDBEngine,
    *,
    run_id: str,
    now_us: int,
    progress: Progress | None = None,
    input_parser: InputParser | None = None,
) -> IngestResult:
    """Load what is new in all sources, and keep copies of it.

    Parameters
    ----------
    config : Config
        The project.
    warehouse : DuckDBEngine
        From `open_warehouse`.
    run_id : str
        Names the run in `ledger.loads`.
    now_us : int
        Microseconds since the epoch: when files of unknown content are taken to have arrived.
    progress : Progress or None
        Told when a file begins (`reading`) and what came of it (`loaded`, `refused`, `known`), with its records.
    intake : Intake or None
        Copies and parses files; None opens one for this call.

    Returns
    -------
    LoadReport
        One entry per file.

    Raises
    ------
    InputError
        When the pattern of a source matches no file and it never loaded one, or when none of its files can be read.

    References
    ----------
    `docs/reference/semantics.md`, section 1; the ADR on event identity and landing.
    """
    registry = FileRegistry(warehouse, run_id, now_us)
    set_hash_keys(warehouse, person_secret(config))
    raw_store = RawStore(config.state)
    register_suppression(warehouse, config, raw_store)
    with transaction(warehouse):
        registry.drop_unsettled()
    loads: list[FileLoad] = []
    with nullcontext(input_parser) if input_parser else open_input_parser(config, run_id) as taken:
        for name in config.sources:
            loads += SourceLoader(config, warehouse, registry, name, progress or silent, raw_store, taken).load()
    _tidy(config, registry, raw_store)
    write_snapshot(warehouse, raw_store)
    suppression.write_suppressions(warehouse, raw_store)
    return IngestResult(tuple(loads))


def reload_events(
    config: Config,
    warehouse: DuckDBEngine,
    past: RegistrySnapshot,
    raw_store: RawStore,
    *,
    run_id: str,
    now_us: int,
    progress: Progress | None = None,
    input_parser: InputParser | None = None,
) -> IngestResult:
    """Land every file that was landed, in an empty warehouse: from its kept copy, else from the input.

    Parameters
    ----------
    config, run_id, now_us, progress, intake
        See `load`.
    warehouse : DuckDBEngine
        An empty one; it gets the past too.
    past : Past
        What the old warehouse knew; times of first loads are its.
    kept : Kept
        Where the copies lie.

    Raises
    ------
    InputError
        When a file is neither kept nor in the input, or its copy is damaged: without it figures would be others.
    """
    restore_snapshot(warehouse, past)
    registry = FileRegistry(warehouse, run_id, now_us)
    set_hash_keys(warehouse, person_secret(config))
    register_suppression(warehouse, config, raw_store)
    landed = {(row["source"], row["sha256"]) for row in past.files.to_pylist() if row["is_loaded"]}
    known = [file for file in registry.files() if (file.source, file.sha256) in landed]
    loads: list[FileLoad] = []
    with nullcontext(input_parser) if input_parser else open_input_parser(config, run_id) as taken:
        for name in config.sources:
            source = SourceLoader(config, warehouse, registry, name, progress or silent, raw_store, taken)
            loads += source.load_again([file for file in known if file.source == name])
    return IngestResult(tuple(loads))


def _tidy(config: Config, registry: FileRegistry, raw_store: RawStore) -> None:
    """Remove copies whose time is over in every source that read them, and copies of what never landed."""
    wanted = {
        file.copy_sha256
        for file in registry.files()
        if not is_over(config, file.source, file.first_loaded_at, registry.now)
    }
    raw_store.remove(set(raw_store.contents()) - wanted)
