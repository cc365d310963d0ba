"""Search archived files and inputs for records of erased persons."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from journeyflow.ingest.file_registry import FileRegistry, RegisteredFile
from journeyflow.ingest.files import BLOCK_BYTES, InputFile, RefusedFileError, matching_paths, opened, wrapping_of
from journeyflow.ingest.parser.copy import InputParser
from journeyflow.ingest.raw_store import RawStore
from journeyflow.ingest.rewrite import validated_records

if TYPE_CHECKING:
    from journeyflow.config import Config
    from journeyflow.engines import DuckDBEngine
    from journeyflow.utils.progress import Progress


_ERASED_KEYS = """
create or replace temp table erased_keys as
select event_key from raw.events where event_ix in (select event_ix from erased_events)
"""
_DUPLICATES = """
    is_kept and reason is null and event_id is not null
    and md5_number(source || '/' || event_id) in (select event_key from erased_keys)
"""
_ERASED_ROWS = """
with erased as (
    select file_ix, source_row from raw.events where event_ix in (select event_ix from erased_events)
    union
    select file_ix, source_row from raw.quarantine where rowid in (select row_id from erased_quarantine)
)
select erased.source_row
from erased
inner join ledger.files as files on files.file_ix = erased.file_ix
where files.source = ? and files.sha256 = ?
"""
_ENCODINGS = ("utf-8", "utf-16-le", "utf-16-be", "cp1252")


@dataclass(frozen=True)
class FoundRecords:
    """A file and its number of records of the persons; None where it is unknown."""

    source_file: str
    record_count: int | None


@dataclass
class SearchResult:
    """What a search of all files found; see `operations.erase.ErasurePlan`."""

    contents: list[tuple[str, str]] = field(default_factory=list)
    dropped_contents: list[str] = field(default_factory=list)
    again: set[str] = field(default_factory=set)
    copies: list[FoundRecords] = field(default_factory=list)
    dropped: list[FoundRecords] = field(default_factory=list)
    inputs: list[FoundRecords] = field(default_factory=list)


@dataclass(frozen=True)
class RecordSearch:
    """A search of all archived files and all input files for records of erased persons.

    The warehouse has `erased_ids` and the tables of `apply.find_erased_rows`. Files that no configured source can read
    any more are searched for the bytes of `clear_ids`.
    """

    warehouse: DuckDBEngine
    config: Config
    clear_ids: Sequence[str]
    progress: Progress
    input_parser: InputParser
    found: SearchResult = field(default_factory=SearchResult)
    _removed_rows: dict[str, set[int]] = field(default_factory=dict)

    def run(self) -> SearchResult:
        """Search everything."""
        self.warehouse.execute(_ERASED_KEYS)
        registry = FileRegistry(self.warehouse, "", 0)
        known = registry.files()
        for source in self.config.sources:
            mine = {file.sha256: file for file in known if file.source == source}
            inputs = {file.sha256: file for file in self._inputs(source)}
            for sha256 in sorted({*mine, *inputs}):
                self._search(source, mine.get(sha256), inputs.get(sha256))
        self._search_unconfigured([file for file in known if file.source not in self.config.sources])
        return self.found

    def _inputs(self, source: str) -> Iterator[InputFile]:
        for path in matching_paths(str(self.config.sources[source].path), self.config.folder):
            with suppress(RefusedFileError):  # Unreadable files were never loaded.
                yield self.input_parser.copies.describe(path, self.config.folder)

    def _search(self, source: str, known: RegisteredFile | None, own: InputFile | None) -> None:
        copy = self._copy(known) if known else None
        count = self._count_copy(source, known, copy) if known and copy else None
        if own is None:
            return
        # A rewritten copy differs from the input file.
        is_same = copy is not None and copy.kept_sha256 is None
        with suppress(RefusedFileError):
            first = known.first_loaded_at if known else datetime(9999, 1, 1)
            held = count if is_same else self._count(source, own, first)
            if held:
                self.found.inputs.append(FoundRecords(own.name, held))

    def _count_copy(self, source: str, known: RegisteredFile, copy: InputFile) -> int | None:
        try:
            count = self._count(source, copy, known.first_loaded_at)
        except RefusedFileError:
            self._drop(known)
            return None
        rows = self.warehouse.rows("select distinct source_row from erased_records").column(0)
        self._removed_rows.setdefault(known.sha256, set()).update(rows.to_pylist())
        if count:
            self.found.contents.append((source, known.sha256))
            self.found.copies.append(FoundRecords(known.source_file, count))
        return count

    def _count(self, source: str, file: InputFile, first_loaded_at: datetime) -> int:
        self.progress("search", file.name, 0)
        with (
            self._released(file, source),
            validated_records(self.warehouse, self.input_parser, self.config, source, file, first_loaded_at) as count,
        ):
            if self.warehouse.count("erased_keys") and self.warehouse.count("retained_records", _DUPLICATES):
                self.found.again.add(source)
            return count

    @contextmanager
    def _released(self, file: InputFile, source: str) -> Iterator[None]:
        try:
            yield
        finally:
            self.input_parser.release(file, self.config.sources[source])

    def _search_unconfigured(self, files: Sequence[RegisteredFile]) -> None:
        """Drop archived files of sources that are no longer configured: without a format they cannot be rewritten.

        A file that a configured source reads too, such as a renamed one, is rewritten by that source, provided that all
        records of the persons are removed.
        """
        spelled = spellings(self.clear_ids)
        for known in files:
            copy = self._copy(known)
            if copy and not self._is_free(known, copy, spelled):
                self._drop(known)

    def _is_free(self, known: RegisteredFile, copy: InputFile, spelled: Collection[bytes]) -> bool:
        erased = self._erased_rows(known)
        if known.sha256 in self._removed_rows:
            return erased <= self._removed_rows[known.sha256]
        return not erased and not self._may_name(copy, spelled)

    def _erased_rows(self, known: RegisteredFile) -> set[int]:
        found = self.warehouse.rows(_ERASED_ROWS, [known.source, known.sha256])
        return set(found.column(0).to_pylist())

    def _may_name(self, copy: InputFile, spelled: Collection[bytes]) -> bool:
        longest = max(map(len, spelled))
        try:
            if wrapping_of(copy.path) == "parquet":
                return True  # Its values are compressed.
            with opened(copy.path) as stream:
                tail = b""
                while block := stream.read(BLOCK_BYTES):
                    window = tail + block
                    if window.startswith(b"PAR1") or any(needle in window for needle in spelled):
                        return True
                    tail = window[-longest:]
        except RefusedFileError:
            return True
        return False

    def _copy(self, known: RegisteredFile) -> InputFile | None:
        if known.is_empty:
            return None
        raw_store = RawStore(self.config.state)
        return raw_store.file(known.source_file, known.sha256, known.byte_count, known.kept_sha256)

    def _drop(self, known: RegisteredFile) -> None:
        self.found.dropped_contents.append(known.sha256)
        self.found.dropped.append(FoundRecords(known.source_file, None))


def spellings(ids: Iterable[str]) -> frozenset[bytes]:
    """Return the bytes of ids in a text: as they are, with doubled quotes and as JSON escapes, in four encodings."""
    found = set()
    for each in ids:
        escaped = json.dumps(each)[1:-1]
        capital = re.sub(r"\\u[0-9a-f]{4}", lambda sign: f"\\u{sign[0][2:].upper()}", escaped)
        plain = json.dumps(each, ensure_ascii=False)[1:-1]
        found |= {each, each.replace('"', '""'), plain}
        found |= {text.replace("/", slash) for text in (escaped, capital, plain) for slash in ("/", r"\/")}
    return frozenset(code for text in found for code in _encoded(text))


def _encoded(text: str) -> Iterator[bytes]:
    for encoding in _ENCODINGS:
        with suppress(UnicodeEncodeError):
            yield text.encode(encoding)
