"""Search archived records and input files for records of erased persons."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

import pyarrow as pa

from journeyflow.config.sources import POSTGRES, RemotePath
from journeyflow.engines.base import text as literal
from journeyflow.erasure.apply import ErasedRecords
from journeyflow.errors import InputError
from journeyflow.ingest.archive import ArchivedFile, RecordArchive, erased_numbers
from journeyflow.ingest.file_registry import FileRegistry, RegisteredFile, RegistryEntry
from journeyflow.ingest.files import InputFile, RawStore, RefusedFileError, RemoteFile, Version, matching_paths
from journeyflow.ingest.insert import prepare, raw_text_select
from journeyflow.ingest.load import BATCH_BYTES, BATCH_FILES, PendingFile
from journeyflow.ingest.parser.client import ACCESS_LOG, InputParser, read_records, remote_input, show_records
from journeyflow.ingest.parser.records import PLACE_BITS
from journeyflow.ingest.suppression import find_texts_naming, split_rejects, split_suppressed
from journeyflow.utils.formatting import escaped

if TYPE_CHECKING:
    from journeyflow.config import Config
    from journeyflow.engines import DuckDBEngine
    from journeyflow.ingest.parser.records import RawRecords
    from journeyflow.utils.formatting import Progress


_ERASED_KEYS = """
create or replace temp table erased_keys as
select event_key from raw.events where event_ix in (select event_ix from erased_events)
"""
_DUPLICATES = """
    is_kept and reason is null and event_id is not null
    and md5_number(source || '/' || event_id) in (select event_key from erased_keys)
"""
_STORED_ROWS = """
create or replace temp table stored_rows as
with erased as (
    select file_ix, source_row from raw.events where event_ix in (select event_ix from erased_events)
    union
    select file_ix, source_row from raw.quarantine where rowid in (select row_id from erased_quarantine)
)
select files.source, files.sha256, erased.source_row, not list_contains(?, files.source) as is_former
from erased
inner join ledger.files as files on files.file_ix = erased.file_ix
"""
_NAMING = "create or replace temp table naming_records as select row_id as record_ix from naming_texts"
# Records from which erased rows of the warehouse came belong to the persons, by the mapping of that time; those of a
# former source in the records of every source, such as its new name.
_OF_STORED_ROWS = f"""
insert into erased_records
select distinct records.record_ix, records.source_row, null::bigint
from raw_records as records
inner join group_files as files on files.place = records.record_ix >> {PLACE_BITS}
inner join stored_rows as stored
    on stored.sha256 = files.sha256 and stored.source_row = records.source_row
    and (stored.source = files.source or stored.is_former)
where records.record_ix not in (select record_ix from erased_records where record_ix is not null)
"""
_OF_THIS_RECORD = " and records.record_ix in (select record_ix from naming_records)"
"""Of JSON a row may hold other persons' records too."""
_OF_NAMING = """
insert into erased_records
select record_ix, source_row, null from raw_records
where record_ix in (select record_ix from naming_records)
    and record_ix not in (select record_ix from erased_records where record_ix is not null)
"""
# No table holds a record that the source's filter excludes, so what it mentions belongs to nobody's event.
_OF_FILTERED = """
insert into erased_records
select record_ix, source_row, null from retained_records
where not is_kept and record_ix in (select record_ix from naming_records)
    and record_ix not in (select record_ix from erased_records where record_ix is not null)
"""
# What the event itself says of an erased person belongs to the other person.
_CONTENTS = """
select record_ix as row_id, cast(to_json(records) as varchar) as text
from retained_records as records
where record_ix in (select record_ix from naming_records)
"""
_REDACTED = f"""
select record_ix >> {PLACE_BITS} as place, record_ix & {(1 << PLACE_BITS) - 1} as number
from naming_records
where record_ix not in (select row_id from naming_texts)
    and record_ix not in (select record_ix from erased_records where record_ix is not null)
order by place, number
"""
_PATTERN_IDS = 100
"""Ids in one regular expression."""


@dataclass(frozen=True)
class FoundRecords:
    """A file and its number of records of the persons; None where it is unknown.

    `named_count` are records found by an id that they hold somewhere, not by the mapping: those of other persons, in
    which the id is blanked, and all records of a source without a mapping.
    """

    source_file: str
    record_count: int | None
    named_count: int = 0


@dataclass
class SearchResult:
    """What a search of all files found; see `operations.erase.ErasurePlan`."""

    archives: list[ErasedRecords] = field(default_factory=list)
    dropped_contents: list[str] = field(default_factory=list)
    again: set[str] = field(default_factory=set)
    copies: list[FoundRecords] = field(default_factory=list)
    dropped: list[FoundRecords] = field(default_factory=list)
    inputs: list[FoundRecords] = field(default_factory=list)


@dataclass(frozen=True)
class RecordSearch:
    """A search of all archived records and all input files for records of erased persons.

    The warehouse has `erased_ids` and the tables of `apply.find_erased_rows`. `clear_ids` are the ids as they are.
    """

    warehouse: DuckDBEngine
    config: Config
    clear_ids: Sequence[str]
    progress: Progress
    input_parser: InputParser
    found: SearchResult = field(default_factory=SearchResult)
    _counts: dict[tuple[str, str], int] = field(default_factory=dict)

    def run(self) -> SearchResult:
        """Search everything."""
        self.warehouse.execute(_ERASED_KEYS)
        self.warehouse.execute(_STORED_ROWS, [list(self.config.sources)])
        known = FileRegistry(self.warehouse, "", 0).files()
        for source in dict.fromkeys([*self.config.sources, *(file.source for file in known)]):
            for group in self._groups([file for file in known if file.source == source]):
                self._search_group(source, group)
                self.progress("search", "archived files", len(self._counts), len(known))
        for source in self.config.sources:
            self._search_inputs(source, [file for file in known if file.source == source])
        self._drop_originals(known)
        return self.found

    def _groups(self, files: Sequence[RegisteredFile]) -> Iterator[list[PendingFile]]:
        """Yield archived files in groups that the same statements can search."""
        archive, group, size = RecordArchive(self.config.state), list[PendingFile](), 0
        for known in files:
            if not known.archive_sha256 or not archive.holds(known.archive_sha256):
                continue
            try:
                parsed = archive.read(known.archive_sha256)
            except RefusedFileError:
                self._drop(known, known.archive_sha256)
                continue
            path = archive.path(known.archive_sha256)
            file = InputFile(
                known.source_file, path, known.sha256, known.byte_count, archive_sha256=known.archive_sha256
            )
            pending = PendingFile(file, RegistryEntry(0, known.first_loaded_at, "", is_loaded=True), parsed)
            is_full = len(group) == BATCH_FILES or size + file.byte_count > BATCH_BYTES
            if group and (is_full or not pending.is_like(group[-1])):
                yield group
                group, size = [], 0
            group.append(pending)
            size += file.byte_count
        if group:
            yield group

    def _search_group(self, source: str, group: Sequence[PendingFile]) -> None:
        is_log = source in self.config.sources and self.config.sources[source].format == ACCESS_LOG
        with show_records(self.warehouse, [each.parsed for each in group], is_log=is_log) as raw:
            is_mapped = self._split(source, raw, group[0].entry.first_loaded_at)
            self._find_naming(raw)
            self.warehouse.scratch("group_files", _files(source, group).to_reader())
            self.warehouse.execute(_OF_STORED_ROWS + (_OF_THIS_RECORD if raw.shape == "json" else ""))
            self.warehouse.execute(_OF_FILTERED if is_mapped else _OF_NAMING)
            # All of a log line is the content by which its event is identified.
            redacted = self._redacted() if is_mapped and raw.shape != "lines" else {}
            removed = erased_numbers(self.warehouse)
        for place, each in enumerate(group):
            numbers, blanked = removed.get(place, []), redacted.get(place, [])
            self._counts[source, each.file.sha256] = len(numbers)
            if numbers or blanked:
                assert each.file.archive_sha256
                self.found.archives.append((source, each.file.archive_sha256, tuple(numbers), tuple(blanked)))
                named_count = len(blanked) + (0 if is_mapped else len(numbers))
                self.found.copies.append(FoundRecords(each.file.name, len(numbers), named_count))

    def _redacted(self) -> dict[int, list[int]]:
        """Return the numbers of records that mention a person only where the mapping does not read, by place."""
        find_texts_naming(self.warehouse, _CONTENTS)
        found: dict[int, list[int]] = {}
        for row in self.warehouse.rows(_REDACTED).to_pylist():
            found.setdefault(row["place"], []).append(row["number"])
        return found

    def _split(self, source: str, raw: RawRecords, first_loaded_at: datetime) -> bool:
        """Split off the persons' records by the source's mapping; False where it has none for these records."""
        if source in self.config.sources:
            with suppress(RefusedFileError):  # They were read with other settings.
                prepare(self.warehouse, self.config, source, raw, first_loaded_at)
                split_suppressed(self.warehouse, raw)
                if self.warehouse.count("erased_keys") and self.warehouse.count("retained_records", _DUPLICATES):
                    self.found.again.add(source)
                return True
        split_rejects(self.warehouse)
        return False

    def _find_naming(self, raw: RawRecords) -> None:
        """Create `naming_records`: those whose text, wherever, names a person."""
        text = "line" if raw.shape == "lines" else raw_text_select(raw)
        conditions = " or ".join(f"regexp_matches(text, {literal(each)})" for each in patterns(self.clear_ids))
        texts = f"select record_ix as row_id, {text} as text from raw_records"
        find_texts_naming(self.warehouse, f"select row_id, text from ({texts}) where {conditions or 'false'}")
        self.warehouse.execute(_NAMING)

    def _search_inputs(self, source: str, files: Sequence[RegisteredFile]) -> None:
        """Count the persons' records in input files; of those that are archived whole they are known."""
        archive, known = RecordArchive(self.config.state), {file.sha256: file for file in files}
        for own in self._inputs(source):
            with suppress(RefusedFileError, OSError):  # Unreadable files were never loaded.
                entry = known.get(own.sha256)
                count = self._counts.get((source, own.sha256))
                if count is None or not entry or _is_reduced(archive, entry):
                    count = self._count(source, own, entry.first_loaded_at if entry else datetime(9999, 1, 1))
                if count:
                    self.found.inputs.append(FoundRecords(own.name, count))

    def _inputs(self, source: str) -> Iterator[InputFile]:
        """Yield the input files of a source; InputError when a store cannot be listed, as they would be left out."""
        path, copies = self.config.sources[source].path, self.input_parser.copies
        if isinstance(path, RemotePath) and path.scheme == POSTGRES:
            return
        if isinstance(path, RemotePath):
            contents = FileRegistry(self.warehouse, "", 0).remote_contents(source)
            for file in self._listed(path, source):
                sha256, version = contents.get(file.name, ("", Version()))
                with suppress(RefusedFileError):
                    is_known = sha256 and file.version.is_same(version)
                    yield (
                        remote_input(file, sha256, version.byte_count or 0)
                        if is_known
                        else copies.take(file, self.config.folder)
                    )
            return
        for found in matching_paths(str(path), self.config.folder):
            with suppress(RefusedFileError, OSError):
                yield copies.describe(found, self.config.folder, {found.stat().st_size})

    def _listed(self, path: RemotePath, source: str) -> list[RemoteFile]:
        from journeyflow.ingest.remote import listing

        try:
            return listing(path, source)
        except RefusedFileError as error:
            raise InputError(f"Source {source}: {escaped(path)}: {error.detail}. Nothing was erased.") from error

    def _count(self, source: str, file: InputFile, first_loaded_at: datetime) -> int:
        self.progress("search", file.name, len(self._counts))
        settings = self.config.sources[source]
        try:
            with read_records(self.warehouse, self.input_parser, file, settings) as raw:
                prepare(self.warehouse, self.config, source, raw, first_loaded_at)
                split_suppressed(self.warehouse, raw)
                return self.warehouse.count("erased_records")
        finally:
            self.input_parser.release(file, settings)

    def _drop_originals(self, known: Sequence[RegisteredFile]) -> None:
        """Drop originals of files that change, and those without archived records, which are not searched."""
        originals = RawStore(self.config.state).contents()
        changed = {archive_sha256 for _, archive_sha256, *_ in self.found.archives}
        for file in known:
            if file.copy_sha256 in originals and (file.archive_sha256 is None or file.archive_sha256 in changed):
                self._drop(file, file.copy_sha256)

    def _drop(self, known: RegisteredFile, content: str) -> None:
        if content not in self.found.dropped_contents:
            self.found.dropped_contents.append(content)
            self.found.dropped.append(FoundRecords(known.source_file, None))


def _is_reduced(archive: RecordArchive, file: RegisteredFile) -> bool:
    """Return whether an erasure removed records of a file before, so that the input has more of them."""
    parsed: ArchivedFile = archive.read(file.archive_sha256 or "")
    return parsed.erased_count > 0


def _files(source: str, group: Sequence[PendingFile]) -> pa.Table:
    """Return the files whose row numbers are those of the warehouse, by place."""
    places = [place for place, each in enumerate(group) if not getattr(each.parsed, "is_renumbered", False)]
    return pa.table(
        {
            "place": pa.array(places, pa.int64()),
            "source": pa.array([source] * len(places), pa.string()),
            "sha256": pa.array([group[place].file.sha256 for place in places], pa.string()),
        }
    )


def patterns(ids: Iterable[str]) -> list[str]:
    """Return regular expressions that match at least every text which names one of some ids.

    JSON escapes characters, once more where it is in a text of JSON, and delimited text doubles quotes. What matches is
    then searched word by word.
    """
    spelled = sorted({text for each in ids for text in _spellings(each)})
    parts = [spelled[start : start + _PATTERN_IDS] for start in range(0, len(spelled), _PATTERN_IDS)]
    return [f"(?i){'|'.join(map(_quoted, part))}" for part in parts]


def _spellings(text: str) -> Iterator[str]:
    yield from (text, text.replace('"', '""'), text.replace("@", "%40"))
    once = {json.dumps(text, ensure_ascii=is_ascii)[1:-1] for is_ascii in (True, False)}
    once |= {each.replace("/", r"\/") for each in once}
    yield from once
    yield from (json.dumps(each, ensure_ascii=is_ascii)[1:-1] for each in once for is_ascii in (True, False))


def _quoted(text: str) -> str:
    return re.sub(r"([\\.+*?()|\[\]{}^$])", r"\\\1", text)
