"""The way of a file into a run: a private copy, a process that parses it, records that the database can scan."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from journeyflow.config import Config
from journeyflow.config.inputs import People, Source
from journeyflow.ingest.files import InputFile, RefusedFileError
from journeyflow.ingest.parsing import Job, Limits, Parser
from journeyflow.ingest.staging import Staging

FOLDER = "staged"


@dataclass(frozen=True)
class Intake:
    """The staging folder of a run and its parser."""

    staging: Staging
    parser: Parser

    def job(self, file: InputFile, source: Source | People) -> Job:
        """Return what is asked of the parser; the file is staged by then.

        Raises
        ------
        RefusedFileError
            When the file is no longer what it was when it was described.
        """
        return Job(
            self.staging.name(file),
            file.byte_count,
            source.format,
            source.encoding,
            source.delimiter,
            source.quote,
            getattr(source, "header", True),
            getattr(source, "records", None),
        )

    def ask(self, files: Iterable[InputFile], source: Source | People) -> None:
        """Have files parsed while others are stored; what is wrong with one is told when its turn comes."""
        for file in files:
            with suppress(RefusedFileError):
                self.parser.ask([self.job(file, source)])

    def release(self, file: InputFile, source: Source | People) -> None:
        """Remove all that was made of a file."""
        with suppress(RefusedFileError):
            if self.staging.holds(file):
                self.parser.forget(self.job(file, source))
        self.staging.release(file)


@contextmanager
def intake_of(config: Config, run_id: str) -> Iterator[Intake]:
    """Open the intake of a run; its folder, in the work folder of the state, goes with it."""
    folder = staging_folder(config.state, run_id)
    limits = limits_of(config)
    staging = Staging(folder, limits)
    try:
        with Parser(folder, limits) as parser:
            yield Intake(staging, parser)
    finally:
        staging.close()


def limits_of(config: Config) -> Limits:
    """Return the limits of a project's files."""
    given = config.limits
    seconds = -(given.time // timedelta(seconds=-1))  # Rounded up.
    return Limits(given.file, given.memory, seconds, given.rows, given.columns)


def staging_folder(state: Path, run_id: str) -> Path:
    """Return where the files of a run are staged."""
    return state / "work" / run_id / FOLDER
