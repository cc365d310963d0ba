"""Load all sources into the warehouse: new files in batches, each batch one transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path

from journeyflow.config import Config
from journeyflow.config.sources import POSTGRES, RemotePath
from journeyflow.engines import DuckDBEngine
from journeyflow.errors import InputError
from journeyflow.ingest.archive import RecordArchive, erased_numbers
from journeyflow.ingest.file_registry import FileRegistry, RegisteredFile, RegistryEntry, settings_hash
from journeyflow.ingest.files import (
    InputFile,
    RawStore,
    RefusedFileError,
    RegistrySnapshot,
    RemoteFile,
    Version,
    concerns_file,
    matching_paths,
    restore_snapshot,
    shown_name,
    why_refused,
    write_snapshot,
)
from journeyflow.ingest.insert import CLEANING, FLOOR, RecordCounts, deduplicate, insert_records, next_event_ix, prepare
from journeyflow.ingest.parser.client import (
    ACCESS_LOG,
    AHEAD_BYTES,
    InputParser,
    job_of,
    open_input_parser,
    parsed_file,
    remote_input,
    show_records,
)
from journeyflow.ingest.parser.records import RawRecords
from journeyflow.ingest.parser.transfer import ParsedFile
from journeyflow.ingest.suppression import register_suppression, split_suppressed, write_suppressions
from journeyflow.state.folder import person_secret, set_hash_keys
from journeyflow.state.warehouse import transaction
from journeyflow.utils.formatting import Progress, escaped, silent

NOTHING = RecordCounts()
BATCH_BYTES = 8 << 20
"""Files up to this total size are loaded in one transaction and deduplicated together."""
PARQUET_BATCH_BYTES = 64 << 20
"""The same for Parquet, whose records are scanned from the file and not held until the transaction ends."""
BATCH_FILES = 500
"""Most files in one transaction."""


@dataclass(frozen=True)
class FileLoad:
    """The outcome of one file in this run.

    `status` is ``loaded``, ``refused``, or ``known`` where its content was loaded before; `detail` says why it was
    refused and what to do. `source_file` is relative to the configuration.
    """

    source: str
    source_file: str
    status: str
    counts: RecordCounts = NOTHING
    detail: str | None = None


@dataclass(frozen=True)
class IngestResult:
    """The outcome of all files of a run, in the order of sources and names."""

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
    """Load the new files of all sources and archive them.

    Files of unknown content count as first loaded at `now_us`, microseconds since the epoch. Without `input_parser`
    one is opened for this call. InputError when the pattern of a source matches no file and it never loaded one, or
    when none of its files can be read.
    """
    registry = FileRegistry(warehouse, run_id, now_us)
    set_hash_keys(warehouse, person_secret(config))
    raw_store = RawStore(config.state)
    register_suppression(warehouse, config, raw_store)
    with transaction(warehouse):
        registry.delete_unfinished()
    loads: list[FileLoad] = []
    with nullcontext(input_parser) if input_parser else open_input_parser(config, run_id) as parser:
        for name in config.sources:
            loads += SourceLoader(config, name, warehouse, registry, raw_store, parser, progress or silent).load()
    _remove_unreferenced(config, registry, raw_store)
    write_snapshot(warehouse, raw_store)
    write_suppressions(warehouse, raw_store)
    return IngestResult(tuple(loads))


def reload_events(
    config: Config,
    warehouse: DuckDBEngine,
    snapshot: RegistrySnapshot,
    raw_store: RawStore,
    *,
    run_id: str,
    now_us: int,
    progress: Progress | None = None,
    input_parser: InputParser | None = None,
) -> IngestResult:
    """Load every file that another warehouse had loaded into an empty one, from archived records, else from the input.

    The snapshot's times of first loads are kept. InputError when a file is in neither place: without it the
    figures would differ.
    """
    restore_snapshot(warehouse, snapshot)
    registry = FileRegistry(warehouse, run_id, now_us)
    set_hash_keys(warehouse, person_secret(config))
    register_suppression(warehouse, config, raw_store)
    loaded = {(row["source"], row["sha256"]) for row in snapshot.files.to_pylist() if row["is_loaded"]}
    known = [file for file in registry.files() if (file.source, file.sha256) in loaded]
    loads: list[FileLoad] = []
    with nullcontext(input_parser) if input_parser else open_input_parser(config, run_id) as parser:
        for name in config.sources:
            source = SourceLoader(config, name, warehouse, registry, raw_store, parser, progress or silent)
            loads += source.reload([file for file in known if file.source == name])
    return IngestResult(tuple(loads))


def archive_loaded(config: Config, warehouse: DuckDBEngine, input_parser: InputParser, now_us: int) -> None:
    """Archive the records of files of which an earlier version kept the originals; `erased_ids` must exist."""
    registry, raw_store = FileRegistry(warehouse, "", now_us), RawStore(config.state)
    for name in config.sources:
        SourceLoader(config, name, warehouse, registry, raw_store, input_parser, silent).archive_loaded({})
    write_snapshot(warehouse, raw_store)


def is_over(config: Config, source: str, first_loaded_at: datetime, now: datetime) -> bool:
    """Return whether the retention of a source's file has ended; times are naive UTC."""
    span = config.retention.span(source)
    return _has_ended(span, first_loaded_at, now)


def _has_ended(span: timedelta | None, begin: datetime, now: datetime) -> bool:
    return span is not None and begin + span <= now


def is_available(config: Config, file: RegisteredFile) -> bool:
    """Return whether a file's records are archived, or its original or a file of its name is there."""
    return (
        RecordArchive(config.state).holds(file.archive_sha256)
        or RawStore(config.state).path(file.copy_sha256) is not None
        or (config.folder / file.source_file).is_file()
    )


def _remove_unreferenced(config: Config, registry: FileRegistry, raw_store: RawStore) -> None:
    """Remove archived records and originals whose retention has ended, or that no loaded file has."""
    if registry.jumped_from is not None:
        return
    archive, files = RecordArchive(config.state), registry.files()
    current = [file for file in files if not is_over(config, file.source, file.first_loaded_at, registry.now)]
    archive.remove(archive.contents() - {file.archive_sha256 for file in current})
    originals = {file.copy_sha256 for file in current if file.archive_sha256 is None}
    span = config.retention.originals
    originals |= {file.sha256 for file in files if not _has_ended(span, file.first_loaded_at, registry.now)}
    raw_store.remove(set(raw_store.contents()) - originals)


@dataclass(frozen=True)
class PendingFile:
    """A parsed file on its way into the warehouse."""

    file: InputFile
    entry: RegistryEntry
    parsed: ParsedFile

    def is_like(self, other: PendingFile) -> bool:
        """Return whether the same statements can load both."""
        return self.entry.first_loaded_at == other.entry.first_loaded_at and self.parsed.is_like(other.parsed)


@dataclass(frozen=True)
class SourceLoader:
    """Loads the files of one source, `name`: finds the new ones, inserts their records and archives them."""

    config: Config
    name: str
    warehouse: DuckDBEngine
    registry: FileRegistry
    raw_store: RawStore
    input_parser: InputParser
    progress: Progress

    def load(self) -> list[FileLoad]:
        """Load the new files, and those that must be read again."""
        path, fresh = self.config.sources[self.name].path, list[RemoteFile]()
        described: list[InputFile | FileLoad]
        if isinstance(path, RemotePath) and path.scheme == POSTGRES:
            return self._load_table(path)
        if isinstance(path, RemotePath):
            try:
                known, fresh = self._listed(path)
            except RefusedFileError as error:  # A store that does not answer must not stop the other sources.
                return [self._refused(escaped(path), None, error.detail)]
            described = list(known)
        else:
            sizes = self.registry.loaded_sizes(self.name)
            described = [self._described(each, sizes) for each in matching_paths(str(path), self.config.folder)]
        if not described and not fresh and not self.registry.has_loaded(self.name):
            shown = escaped(path) if isinstance(path, RemotePath) else shown_name(path, self.config.folder)
            raise InputError(
                f"Source {self.name}: no file matches {shown}; correct `sources.{self.name}.path` or add the files."
            )
        inputs = {file.sha256: file for file in described if isinstance(file, InputFile)}
        self._reset_if_settings_changed(inputs)
        self.archive_loaded(inputs)
        loads = self._load_described([*described, *self._archived_only(inputs)])
        for group in _in_groups(fresh):
            loads += self._load_remote(group)
        # One bad file must not stop the runs of a source that has loaded before.
        if loads and all(load.status == "refused" for load in loads) and not self.registry.has_loaded(self.name):
            raise InputError(
                f"Source {self.name}: none of its {len(loads)} files can be read. The first, {loads[0].source_file}: "
                f"{loads[0].detail}."
            )
        return loads

    def _load_described(self, described: Sequence[InputFile | FileLoad]) -> list[FileLoad]:
        """Load files of new content; the outcomes are in the order of the files."""
        loaded: dict[Path, FileLoad] = {}
        batches = self._batches([file for file in described if isinstance(file, InputFile)])
        batch = next(batches, [])
        self.input_parser.ask(batch, self.config.sources[self.name])
        while batch:
            following = next(batches, [])
            # The parser works while a batch is inserted and archived, but holds no second large file.
            if sum(file.byte_count for file in following) <= PARQUET_BATCH_BYTES:
                self.input_parser.ask(following, self.config.sources[self.name])
            loaded |= {file.path: load for file, load in zip(batch, self._load_batch(batch), strict=True)}
            batch = following
        return [
            loaded.get(file.path, FileLoad(self.name, file.name, "known")) if isinstance(file, InputFile) else file
            for file in described
        ]

    def _listed(self, path: RemotePath) -> tuple[list[InputFile], list[RemoteFile]]:
        """Return the remote files of a source whose content is known, and the others."""
        from journeyflow.ingest.remote import listing  # Imports a network library.

        contents = self.registry.remote_contents(self.name)
        known, fresh = [], []
        for file in listing(path, self.name):
            sha256, version = contents.get(file.name, ("", Version()))
            if sha256 and file.version.is_same(version):
                known.append(remote_input(file, sha256, version.byte_count or 0))
            else:
                fresh.append(file)
        return known, fresh

    def _load_table(self, path: RemotePath) -> list[FileLoad]:
        """Load the rows of a table above the last watermark, in files that are archived as any other."""
        from journeyflow.ingest.postgres import fingerprint_of, read_table

        self._reset_if_settings_changed({})
        loads, name = self._load_described(self._archived_only({})), escaped(path)
        known = self.registry.remote_contents(self.name).get(name)
        copies, watermark = self.input_parser.copies, self.config.sources[self.name].watermark or ""
        copies.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            # What another column or database was read up to says nothing of this one.
            mark = fingerprint_of(watermark)
            after = known[1].etag if known and known[0] == mark else None
            for number, batch in enumerate(read_table(path, watermark, after, copies.folder, copies.limits.seconds), 1):
                file = copies.adopt(batch.path, f"{name}#{self.registry.run_id}-{number}")
                loads += self._load_described([file])
                if loads[-1].status == "refused":
                    break  # The next run reads its rows again.
                if batch.watermark is not None:
                    with transaction(self.warehouse):
                        self.registry.record_downloaded(self.name, {name: (mark, Version(etag=batch.watermark))})
        except RefusedFileError as error:
            loads.append(self._refused(name, None, error.detail))
        return loads

    def _load_remote(self, files: Sequence[RemoteFile]) -> list[FileLoad]:
        """Download and load some files; of a content that was loaded the next run downloads nothing."""
        fetched = self.input_parser.copies.fetch(files)
        loads = self._load_described(
            [
                self._refused(file.name, None, each.detail) if isinstance(each, RefusedFileError) else each[0]
                for file, each in zip(files, fetched, strict=True)
            ]
        )
        proven = {
            each[0].name: (each[0].sha256, each[1])
            for each, load in zip(fetched, loads, strict=True)
            if not isinstance(each, RefusedFileError) and each[1] and load.status != "refused"
        }
        with transaction(self.warehouse):
            self.registry.record_downloaded(self.name, proven)
        return loads

    def reload(self, known: list[RegisteredFile]) -> list[FileLoad]:
        """Load files that were loaded before, all of them or none."""
        known = [file for file in known if not file.is_empty]
        files = [self._archived(file) for file in known]
        if not all(files):
            inputs = self._inputs_again({each.byte_count for each in known})
            files = [
                file or inputs.get(each.sha256) or self._damaged(each) for file, each in zip(files, known, strict=True)
            ]
        found = [file for file in files if file]
        if missing := [each.source_file for file, each in zip(files, known, strict=True) if not file]:
            raise InputError(
                f"Source {self.name}: {', '.join(missing[:5])} ({len(missing):,} of {len(known):,} files) is neither "
                "archived nor in the input. Put it back; `retention` says how long archived files are kept."
            )
        loads = [load for batch in self._batches(found) for load in self._load_batch(batch)]
        if refused := [load for load in loads if load.status == "refused"]:
            raise InputError(f"Source {self.name}: {refused[0].source_file} cannot be read: {refused[0].detail}.")
        return loads

    def _inputs_again(self, sizes: Collection[int]) -> dict[str, InputFile]:
        """Return the files of the input by content; of remote ones those that were downloaded before."""
        path = self.config.sources[self.name].path
        if isinstance(path, RemotePath) and path.scheme == POSTGRES:
            return {}
        if isinstance(path, RemotePath):
            try:
                return {file.sha256: file for file in self._listed(path)[0]}
            except RefusedFileError as error:
                raise InputError(f"Source {self.name}: {escaped(path)}: {error.detail}.") from error
        described = [self._described(each, sizes) for each in matching_paths(str(path), self.config.folder)]
        return {file.sha256: file for file in described if isinstance(file, InputFile)}

    def settings_hash(self) -> str:
        """Return the hash of every setting that decides what a record of the source becomes."""
        config = self.config
        return settings_hash(
            config.sources[self.name],
            config.clock_skew,
            config.privacy.keep_query_params,
            FLOOR,
            CLEANING,
            sorted(config.null_ids),
        )

    def _described(self, path: Path, known_sizes: Collection[int]) -> InputFile | FileLoad:
        try:
            return self.input_parser.copies.describe(path, self.config.folder, known_sizes)
        except RefusedFileError as error:
            return self._refused(shown_name(path, self.config.folder), None, error.detail)

    def _refused(self, name: str, file: InputFile | None, detail: str) -> FileLoad:
        self.registry.record_refused(self.name, name, file.sha256 if file else None, NOTHING, detail)
        return FileLoad(self.name, name, "refused", detail=detail)

    @cached_property
    def _archive(self) -> RecordArchive:
        return RecordArchive(self.raw_store.state)

    @cached_property
    def _reading_hash(self) -> str:
        return job_of(self.config.sources[self.name]).reading_hash

    def _reset_if_settings_changed(self, inputs: Mapping[str, InputFile]) -> None:
        """Have all files of the source read again when its settings changed: old and new rules must not mix."""
        outdated = self.registry.loaded_with_other_settings(self.name, self.settings_hash())
        if not outdated:
            return
        missing = sorted(
            {
                file.source_file
                for file in outdated
                if file.sha256 not in inputs
                and not file.is_empty
                and not (file.reading_hash == self._reading_hash and self._archive.holds(file.archive_sha256))
                and not self.raw_store.path(file.copy_sha256)
            }
        )
        if missing:
            raise InputError(
                f"Source {self.name}: its settings changed, so all its files must be read again, but "
                f"{', '.join(missing[:5])} is no longer there. Put it back, or give the new settings a new source name."
            )
        with transaction(self.warehouse):
            self.registry.reset_source(self.name)

    def _archived_only(self, inputs: Mapping[str, InputFile]) -> list[InputFile]:
        """Return what must be read again and is no longer in the input."""
        gone = [known for known in self.registry.unloaded(self.name) if known.sha256 not in inputs]
        return [file for known in gone if (file := self._archived(known) or self._damaged(known))]

    def _archived(self, known: RegisteredFile) -> InputFile | None:
        """Return a file whose archived records are read, or its original; None where there is neither."""
        if known.reading_hash == self._reading_hash and self._archive.is_sound(known.archive_sha256):
            return _with_records(known, self._archive)
        if known.is_empty:
            return None
        return self.raw_store.file(known.source_file, known.sha256, known.byte_count, known.kept_sha256)

    def _damaged(self, known: RegisteredFile) -> InputFile | None:
        """Return a file that is refused when it is read, as its archived records are damaged; None without any."""
        return _with_records(known, self._archive) if self._archive.holds(known.archive_sha256) else None

    def archive_loaded(self, inputs: Mapping[str, InputFile]) -> None:
        """Archive the records of loaded files that an earlier version, or a retention of then, did not archive."""
        found = []
        for known in self.registry.unarchived(self.name):
            if not known.is_empty and not is_over(self.config, self.name, known.first_loaded_at, self.registry.now):
                copy = self.raw_store.file(known.source_file, known.sha256, known.byte_count, known.kept_sha256)
                if file := copy or (inputs.get(known.sha256) if known.kept_sha256 is None else None):
                    found.append((file, known.first_loaded_at))
        for start in range(0, len(found), BATCH_FILES):
            batch = found[start : start + BATCH_FILES]
            self.input_parser.ask([file for file, _ in batch], self.config.sources[self.name])
            for file, first_loaded_at in batch:
                try:
                    self._archive_records(file, first_loaded_at)
                except Exception as error:  # Its original, or the file in the input, stays.
                    if not isinstance(error, RefusedFileError) and not concerns_file(error):
                        raise
                finally:
                    self.input_parser.release(file, self.config.sources[self.name])

    def _archive_records(self, file: InputFile, first_loaded_at: datetime) -> None:
        parsed = parsed_file(self.input_parser, file, self.config.sources[self.name])
        erased: Sequence[int] = ()
        if self.warehouse.count("erased_ids"):
            with self._shown([parsed]) as raw:
                prepare(self.warehouse, self.config, self.name, raw, first_loaded_at)
                split_suppressed(self.warehouse, raw)
                erased = erased_numbers(self.warehouse).get(0, ())
        found = self._archive.write(file.name, parsed, erased, is_renumbered=file.kept_sha256 is not None)
        self._archive.flush()
        self.registry.record_archived(self.name, file.sha256, found, self._reading_hash)

    def _shown(self, files: Sequence[ParsedFile]) -> AbstractContextManager[RawRecords]:
        return show_records(self.warehouse, files, is_log=self.config.sources[self.name].format == ACCESS_LOG)

    def _batches(self, files: list[InputFile]) -> Iterator[list[InputFile]]:
        """Yield the files of new content, each content once, a few at a time."""
        limit = PARQUET_BATCH_BYTES if self.config.sources[self.name].format == "parquet" else BATCH_BYTES
        batch: list[InputFile] = []
        batch_bytes = 0
        met: set[str] = set()
        known = self.registry.entries(self.name, [file.sha256 for file in files])
        for file in files:
            if file.sha256 in met:
                continue
            met.add(file.sha256)
            if (entry := known.get(file.sha256)) and entry.is_loaded:
                self.input_parser.copies.release(file)
                continue
            is_archived = entry and entry.reading_hash == self._reading_hash and not file.archive_sha256
            if entry and is_archived and self._archive.is_sound(entry.archive_sha256):
                file = replace(file, archive_sha256=entry.archive_sha256)
            if batch and (batch_bytes + file.byte_count > limit or len(batch) == BATCH_FILES):
                yield batch
                batch, batch_bytes = [], 0
            batch.append(file)
            batch_bytes += file.byte_count
        if batch:
            yield batch

    def _load_batch(self, files: list[InputFile]) -> list[FileLoad]:
        """Load some files and remove the run's copies of them."""
        try:
            return self._load_or_split(files)
        finally:
            for file in files:
                self.input_parser.release(file, self.config.sources[self.name])

    def _load_or_split(self, files: list[InputFile]) -> list[FileLoad]:
        """Load files in one transaction; where one of them cannot be read, each half separately."""
        try:
            self.input_parser.ask(files, self.config.sources[self.name])
            loaded = self._insert_files(files)
        except Exception as error:  # Whatever one file makes fail must cost that file only.
            if not isinstance(error, RefusedFileError) and not concerns_file(error):
                raise
            if middle := len(files) // 2:
                return self._load_or_split(files[:middle]) + self._load_or_split(files[middle:])
            return [self._refused(files[0].name, files[0], why_refused(error))]
        for file, counts in zip(files, loaded, strict=True):
            self.progress("load", file.name, counts.record, counts.record)
        return [FileLoad(self.name, file.name, "loaded", counts) for file, counts in zip(files, loaded, strict=True)]

    def _insert_files(self, files: list[InputFile]) -> list[RecordCounts]:
        """Insert files in one transaction and deduplicate them in a second one.

        DuckDB would write rows twice that one transaction inserts and deletes. Where the process ends between the two,
        the next run deletes the rows and reads the files again.
        """
        first_ix = next_event_ix(self.warehouse)
        with transaction(self.warehouse):
            inserted: dict[int, RecordCounts] = {}
            for group in self._groups(files):
                inserted |= self._insert_group(group)
        with transaction(self.warehouse):
            changes = deduplicate(self.warehouse, first_ix)
            loaded = [counts + changes.get(file_ix, NOTHING) for file_ix, counts in inserted.items()]
            self.registry.record_loaded(self.name, files, loaded)
        return loaded

    def _groups(self, files: list[InputFile]) -> Iterator[list[PendingFile]]:
        """Yield the parsed files in groups that the same statements can load: these cost as much as 10,000 rows."""
        known = self.registry.entries(self.name, [file.sha256 for file in files])
        entries = self.registry.new_entries(
            self.settings_hash(), [known.get(file.sha256) for file in files], self.registry.first_load_at(files)
        )
        group: list[PendingFile] = []
        for file, entry in zip(files, entries, strict=True):
            self.progress("load", file.name, 0)
            pending = PendingFile(file, entry, self._parsed(file))
            if group and not pending.is_like(group[-1]):
                yield group
                group = []
            group.append(pending)
        yield group

    def _parsed(self, file: InputFile) -> ParsedFile:
        if file.archive_sha256:
            return self._archive.read(file.archive_sha256)
        return parsed_file(self.input_parser, file, self.config.sources[self.name])

    def _insert_group(self, group: list[PendingFile]) -> dict[int, RecordCounts]:
        files, entries = [each.file for each in group], [each.entry for each in group]
        with self._shown([each.parsed for each in group]) as raw:
            prepare(self.warehouse, self.config, self.name, raw, entries[0].first_loaded_at)
            inserted = insert_records(self.warehouse, [(each.file, each.entry.file_ix) for each in group], raw)
            erased = erased_numbers(self.warehouse) if any(counts.erased for counts in inserted) else {}
        # Before the registry calls a file loaded, so that what is loaded can always be rebuilt.
        entries = [self._archive_loading(each, erased.get(place, ())) for place, each in enumerate(group)]
        self._archive.flush()
        inserted = [counts + _erased_before(each.parsed) for counts, each in zip(inserted, group, strict=True)]
        record_counts = [counts.record - counts.erased for counts in inserted]
        self.registry.record_inserted(self.name, files, entries, record_counts)
        return {entry.file_ix: counts for entry, counts in zip(entries, inserted, strict=True)}

    def _archive_loading(self, pending: PendingFile, erased: Sequence[int]) -> RegistryEntry:
        """Archive the records of a file without those of erased persons."""
        file, entry = pending.file, pending.entry
        if file.archive_sha256 and not erased:
            return entry
        if not file.archive_sha256 and is_over(self.config, self.name, entry.first_loaded_at, self.registry.now):
            return replace(entry, archive_sha256=None, reading_hash=None)
        found = self._archive.write(file.name, pending.parsed, erased)
        is_original = not file.archive_sha256 and not file.is_archived and not erased
        if is_original and not _has_ended(self.config.retention.originals, entry.first_loaded_at, self.registry.now):
            self.raw_store.add(file, self.input_parser.copies.path(file))
        return replace(entry, archive_sha256=found, reading_hash=self._reading_hash)


def _in_groups(files: Sequence[RemoteFile]) -> Iterator[list[RemoteFile]]:
    """Yield files a few at a time, so that the disk holds a part of them only."""
    group: list[RemoteFile] = []
    for file in files:
        size = sum(each.version.byte_count or 0 for each in (*group, file))
        if group and (size > AHEAD_BYTES or len(group) == BATCH_FILES):
            yield group
            group = []
        group.append(file)
    if group:
        yield group


def _with_records(known: RegisteredFile, archive: RecordArchive) -> InputFile:
    path = archive.path(known.archive_sha256 or "")
    return InputFile(known.source_file, path, known.sha256, known.byte_count, archive_sha256=known.archive_sha256)


def _erased_before(parsed: ParsedFile) -> RecordCounts:
    """Count the records that an erasure removed from the archived ones: the file had them."""
    return RecordCounts(record=parsed.erased_count, erased=parsed.erased_count)
