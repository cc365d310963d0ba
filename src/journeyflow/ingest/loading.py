"""All sources of the configuration into the warehouse, one transaction a file, with a ledger of contents."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from journeyflow.config import Config
from journeyflow.engines import DuckDBEngine
from journeyflow.errors import InputError
from journeyflow.ingest.files import InputFile, RefusedFileError, describe_file, matching_paths, shown_name
from journeyflow.ingest.hashing import set_hash_keys
from journeyflow.ingest.landing import Counts, land
from journeyflow.ingest.ledger import Entry, Ledger, settings_hash
from journeyflow.ingest.preparing import FLOOR, prepare
from journeyflow.ingest.reading import read_records
from journeyflow.ingest.transactions import transaction
from journeyflow.progress import Progress, silent
from journeyflow.secret import person_secret


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
    counts: Counts = Counts()
    detail: str | None = None


@dataclass(frozen=True)
class LoadReport:
    """What became of all files of a run, in the order of sources and names."""

    files: tuple[FileLoad, ...] = ()

    @property
    def refused(self) -> tuple[FileLoad, ...]:
        """Files that could not be read; the others were loaded all the same."""
        return tuple(file for file in self.files if file.status == "refused")

    @property
    def counts(self) -> Counts:
        """Sums over all files."""
        totals = {name: sum(getattr(f.counts, name) for f in self.files) for name in Counts.__dataclass_fields__}
        return Counts(**totals)


def load(
    config: Config, warehouse: DuckDBEngine, *, run_id: str, now_us: int, progress: Progress | None = None
) -> LoadReport:
    """Load what is new in all sources.

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
    ledger = Ledger(warehouse, run_id, now_us)
    set_hash_keys(warehouse, person_secret(config))
    loads: list[FileLoad] = []
    for name in config.sources:
        loads += _Source(config, warehouse, ledger, name, progress or silent).load()
    return LoadReport(tuple(loads))


@dataclass(frozen=True)
class _Source:
    config: Config
    warehouse: DuckDBEngine
    ledger: Ledger
    name: str
    progress: Progress

    def load(self) -> list[FileLoad]:
        source = self.config.sources[self.name]
        paths = matching_paths(str(source.path), self.config.folder)
        if not paths and not self.ledger.has_loaded(self.name):
            raise InputError(
                f"Source {self.name}: no file matches {source.path}; correct `sources.{self.name}.path` or add the files."
            )
        loads = [self._file(path) for path in paths]
        if loads and all(load.status == "refused" for load in loads):
            raise InputError(
                f"Source {self.name}: none of its {len(loads)} files can be read. The first, {loads[0].source_file}: "
                f"{loads[0].detail}."
            )
        return loads

    def _file(self, path: Path) -> FileLoad:
        file: InputFile | None = None
        try:
            file = describe_file(path, self.config.folder)
            self.progress("load", file.name, 0)
            entry = self.ledger.entry(self.name, file.sha256)
            if entry and entry.is_landed:
                return FileLoad(self.name, file.name, "known")
            counts = self._land(file, entry or self.ledger.new_entry(self._settings_hash()))
        except RefusedFileError as error:
            return self._refused(shown_name(path, self.config.folder), file, str(error))
        self.progress("load", file.name, counts.record, counts.record)
        return FileLoad(self.name, file.name, "loaded", counts)

    def _land(self, file: InputFile, entry: Entry) -> Counts:
        source = self.config.sources[self.name]
        with read_records(self.warehouse, file, source) as raw:
            prepare(self.warehouse, self.config, self.name, raw, entry.first_loaded_at)
            with transaction(self.warehouse):
                counts = land(self.warehouse, file, entry.file_ix, raw)
                _check_unchanged(file)
                self.ledger.record(self.name, file, entry, counts)
        return counts

    def _refused(self, name: str, file: InputFile | None, detail: str) -> FileLoad:
        self.ledger.record_refused(self.name, name, file.sha256 if file else None, Counts(), detail)
        return FileLoad(self.name, name, "refused", detail=detail)

    def _settings_hash(self) -> str:
        config = self.config
        return settings_hash(config.sources[self.name], config.clock_skew, config.privacy.keep_query_params, FLOOR)


def _check_unchanged(file: InputFile) -> None:
    if describe_file(file.path, file.path.parent).sha256 != file.sha256:
        raise RefusedFileError("changed", "the file changed while it was read; the next run reads it again")
