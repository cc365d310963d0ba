"""All sources of the configuration into the warehouse, with a ledger of contents."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass

from journeyflow.config import Config
from journeyflow.engines import DuckDBEngine
from journeyflow.ingest import tombstones
from journeyflow.ingest.hashing import set_hash_keys
from journeyflow.ingest.intake import Intake, intake_of
from journeyflow.ingest.keeping import Kept
from journeyflow.ingest.landing import Counts
from journeyflow.ingest.ledger import Ledger
from journeyflow.ingest.remaking import Past, recall, write_list
from journeyflow.ingest.source_files import FileLoad, SourceFiles
from journeyflow.ingest.storing import NOTHING, is_over
from journeyflow.ingest.tombstones import arm
from journeyflow.ingest.transactions import transaction
from journeyflow.progress import Progress, silent
from journeyflow.secret import person_secret


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
        return sum((file.counts for file in self.files), NOTHING)


def load(
    config: Config,
    warehouse: DuckDBEngine,
    *,
    run_id: str,
    now_us: int,
    progress: Progress | None = None,
    intake: Intake | None = None,
) -> LoadReport:
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
    ledger = Ledger(warehouse, run_id, now_us)
    set_hash_keys(warehouse, person_secret(config))
    kept = Kept(config.state)
    arm(warehouse, config, kept)
    with transaction(warehouse):
        ledger.drop_unsettled()
    loads: list[FileLoad] = []
    with nullcontext(intake) if intake else intake_of(config, run_id) as taken:
        for name in config.sources:
            loads += SourceFiles(config, warehouse, ledger, name, progress or silent, kept, taken).load()
    _tidy(config, ledger, kept)
    write_list(warehouse, kept)
    tombstones.write_list(warehouse, kept)
    return LoadReport(tuple(loads))


def load_again(
    config: Config,
    warehouse: DuckDBEngine,
    past: Past,
    kept: Kept,
    *,
    run_id: str,
    now_us: int,
    progress: Progress | None = None,
    intake: Intake | None = None,
) -> LoadReport:
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
    recall(warehouse, past)
    ledger = Ledger(warehouse, run_id, now_us)
    set_hash_keys(warehouse, person_secret(config))
    arm(warehouse, config, kept)
    landed = {(row["source"], row["sha256"]) for row in past.files.to_pylist() if row["is_landed"]}
    known = [file for file in ledger.files() if (file.source, file.sha256) in landed]
    loads: list[FileLoad] = []
    with nullcontext(intake) if intake else intake_of(config, run_id) as taken:
        for name in config.sources:
            source = SourceFiles(config, warehouse, ledger, name, progress or silent, kept, taken)
            loads += source.load_again([file for file in known if file.source == name])
    return LoadReport(tuple(loads))


def _tidy(config: Config, ledger: Ledger, kept: Kept) -> None:
    """Remove copies whose time is over in every source that read them, and copies of what never landed."""
    wanted = {
        file.copy_sha256
        for file in ledger.files()
        if not is_over(config, file.source, file.first_loaded_at, ledger.now)
    }
    kept.remove(set(kept.contents()) - wanted)
