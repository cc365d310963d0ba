"""A few files of one source into the warehouse: all of them or none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from journeyflow.config import Config
from journeyflow.engines import DuckDBEngine
from journeyflow.ingest.files import InputFile
from journeyflow.ingest.intake import Intake
from journeyflow.ingest.keeping import Kept
from journeyflow.ingest.landing import Counts, land, next_event_ix, settle_duplicates
from journeyflow.ingest.ledger import Entry, Ledger, settings_hash
from journeyflow.ingest.preparing import CLEANING, FLOOR, prepare
from journeyflow.ingest.reading import ParsedFile, parsed_file, read_together
from journeyflow.ingest.rewriting import count_erased, remember_places, rewrite
from journeyflow.ingest.transactions import transaction
from journeyflow.progress import Progress

NOTHING = Counts()

SMALL_BYTES = 1 << 20
"""Files up to this size that are alike are landed by the same statements, which cost more than such a file."""


@dataclass(frozen=True)
class Landing:
    """A file on its way into the warehouse."""

    file: InputFile
    entry: Entry
    parsed: ParsedFile

    def is_like(self, other: Landing) -> bool:
        """Tell whether the same statements can land both."""
        is_small = max(self.file.byte_count, other.file.byte_count) <= SMALL_BYTES
        is_met_at_once = self.entry.first_loaded_at == other.entry.first_loaded_at
        return is_small and is_met_at_once and self.parsed.is_like(other.parsed)


@dataclass(frozen=True)
class SourceStore:
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
    ledger: Ledger
    name: str
    progress: Progress
    kept: Kept
    intake: Intake

    def land(self, files: list[InputFile]) -> list[Counts]:
        """Land files in one transaction and settle their duplicates in a second one.

        What was inserted and deleted in one transaction would be written to the database a second time. Should the
        process end between the two, the next run takes the files out and reads them again.
        """
        first_ix = next_event_ix(self.warehouse)
        with transaction(self.warehouse):
            landed: dict[int, Counts] = {}
            for group in self._alike(files):
                landed |= self._land_alike(group)
        with transaction(self.warehouse):
            settled = settle_duplicates(self.warehouse, first_ix)
            loaded = [counts + settled.get(file_ix, NOTHING) for file_ix, counts in landed.items()]
            self.ledger.record_settled(self.name, files, loaded)
        return loaded

    def _alike(self, files: list[InputFile]) -> Iterator[list[Landing]]:
        """Yield the files in groups that the same statements can land; a large one, or one like no other, by itself."""
        known = self.ledger.entries(self.name, [file.sha256 for file in files])
        entries = self.ledger.new_entries(self.settings_hash(), [known.get(file.sha256) for file in files])
        group: list[Landing] = []
        for file, entry in zip(files, entries, strict=True):
            self.progress("load", file.name, 0)
            landing = Landing(file, entry, parsed_file(self.intake, file, self.config.sources[self.name]))
            if group and not landing.is_like(group[-1]):
                yield group
                group = []
            group.append(landing)
        yield group

    def _land_alike(self, group: list[Landing]) -> dict[int, Counts]:
        files, entries = [each.file for each in group], [each.entry for each in group]
        with read_together(self.warehouse, [each.parsed for each in group], self.config.sources[self.name]) as raw:
            prepare(self.warehouse, self.config, self.name, raw, entries[0].first_loaded_at)
            landed = land(self.warehouse, [(each.file, each.entry.file_ix) for each in group], raw)
            if len(group) == 1:
                remember_places(self.warehouse, raw)
        others = self.ledger.kept_otherwise([file.sha256 for file in files])
        entries = [
            self._kept(file, entry, counts, others.get(file.sha256), is_alone=len(group) == 1)
            for file, entry, counts in zip(files, entries, landed, strict=True)
        ]
        self.ledger.record_unsettled(self.name, files, entries, [counts.record - counts.erased for counts in landed])
        return {entry.file_ix: counts for entry, counts in zip(entries, landed, strict=True)}

    def keep(self, file: InputFile, first_loaded_at: datetime) -> None:
        """Keep a copy before the ledger says that the file is landed: what is landed can always be made again."""
        if file.is_kept or is_over(self.config, self.name, first_loaded_at, self.ledger.now):
            return
        if not self.kept.path(file.sha256):
            self.kept.keep(file, self.intake.staging.path(file))

    def _kept(self, file: InputFile, entry: Entry, counts: Counts, others: str | None, *, is_alone: bool) -> Entry:
        """Keep a file as it came, or without the records of people who were erased.

        `others` is what is kept of its content where other sources, or earlier erasures, took records out.
        """
        if not counts.erased and others is None:
            self.keep(file, entry.first_loaded_at)
            return entry
        if is_over(self.config, self.name, entry.first_loaded_at, self.ledger.now) and not file.is_kept:
            return entry
        # Another source may have taken out records of the same file already: what it left is what we take ours from.
        if others is not None and others != file.kept_sha256:
            other = self.kept.file(file.name, file.sha256, file.byte_count, others)
            if not other or not self._count_erased(other, entry):
                return replace(entry, kept_sha256=others)
            file = other
        elif not counts.erased:
            return replace(entry, kept_sha256=others)
        elif not is_alone:
            self._count_erased(file, entry)
        kept_sha256 = rewrite(self.warehouse, self.intake, self.config, self.name, file, self.kept)
        self.ledger.record_rewritten(file.sha256, kept_sha256)
        return replace(entry, kept_sha256=kept_sha256)

    def _count_erased(self, file: InputFile, entry: Entry) -> int:
        first = entry.first_loaded_at
        return count_erased(self.warehouse, self.intake, self.config, self.name, file, first)

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
