"""Private copies of a run's input files, and the context that copies, parses and releases them."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from journeyflow.config import Config
from journeyflow.config.sources import People, Source
from journeyflow.config.urls import RemotePath
from journeyflow.engines import DuckDBEngine
from journeyflow.errors import EngineError, JourneyflowError
from journeyflow.ingest.files import (
    BLOCK_BYTES,
    InputFile,
    RefusedFileError,
    RemoteFile,
    matching_paths,
    regular,
    shown_name,
)
from journeyflow.ingest.parser.client import Parser
from journeyflow.ingest.parser.transfer import (
    Job,
    JoinedRecords,
    ParsedFile,
    ParserLimits,
    receive_records,
    receive_rejects,
)
from journeyflow.ingest.raw_store import content_hash
from journeyflow.ingest.readers.records import RawRecords
from journeyflow.utils.formatting import escaped

if TYPE_CHECKING:
    from journeyflow.ingest.files import Version
    from journeyflow.ingest.remote import Downloaded

COPIES_FOLDER = "staged"
ACCESS_LOG = "access_log"
AHEAD_BYTES = 1 << 30
"""Files of unknown size are copied while they are hashed, up to this total; the others when their turn comes."""
DOWNLOADS = 8
"""Files that are downloaded at a time: small ones wait for the network most of the time."""
_CHANGED = "the file changed while it was read; the next run reads it again"


@dataclass(frozen=True)
class InputParser:
    """The private copies of a run's input files and the parser that reads them."""

    copies: InputCopies
    parser: Parser

    def job(self, file: InputFile, source: Source | People) -> Job:
        """Return the parser's job for a file; RefusedFileError when the file has changed since it was described."""
        return job_of(source, self.copies.name(file), file.byte_count)

    def ask(self, files: Iterable[InputFile], source: Source | People) -> None:
        """Parse files in the background; a refused one is reported when its turn comes."""
        for file in files:
            with suppress(RefusedFileError):
                if file.archive_sha256:
                    continue
                self.parser.ask([self.job(file, source)])

    def release(self, file: InputFile, source: Source | People) -> None:
        """Remove the copy and the records of a file."""
        with suppress(RefusedFileError):
            if self.copies.holds(file):
                self.parser.discard(self.job(file, source))
        self.copies.release(file)


def job_of(source: Source | People, name: str = "", byte_count: int = 0) -> Job:
    """Return the parser's job for a copied file of a source."""
    return Job(
        name,
        byte_count,
        source.format,
        source.encoding,
        source.delimiter,
        source.quote,
        getattr(source, "header", True),
        getattr(source, "records", None),
        source.pad_short_rows,
        getattr(source, "sheet", None),
    )


@contextmanager
def open_input_parser(config: Config, run_id: str) -> Iterator[InputParser]:
    """Open the input parser of a run; its folder, below the work folder of the state, is removed at the end."""
    folder = copies_folder(config.state, run_id)
    limits = limits_of(config)
    copies = InputCopies(folder, limits)
    try:
        with Parser(folder, limits) as parser:
            yield InputParser(copies, parser)
    finally:
        copies.close()


def limits_of(config: Config) -> ParserLimits:
    """Return the configured limits of a file."""
    given = config.limits
    seconds = -(given.time // timedelta(seconds=-1))  # Rounded up.
    return ParserLimits(given.file, given.memory, seconds, given.rows, given.columns)


def copies_folder(state: Path, run_id: str) -> Path:
    """Return where the files of a run are copied to."""
    return state / "work" / run_id / COPIES_FOLDER


def parsed_file(input_parser: InputParser, file: InputFile, source: Source) -> ParsedFile:
    """Wait until a file is parsed; RefusedFileError when it cannot be read."""
    job = input_parser.job(file, source)
    answer = input_parser.parser.answer(job)
    folder = input_parser.copies.folder
    rows = receive_records(folder, job.rows_file, answer, input_parser.copies.limits)
    return ParsedFile(answer, rows, receive_rejects(folder, job.rejects_file, answer))


@contextmanager
def read_records(
    warehouse: DuckDBEngine, input_parser: InputParser, file: InputFile, source: Source
) -> Iterator[RawRecords]:
    """Parse a file and expose it as `raw_records` and `raw_rejects` while the context lasts."""
    with show_records(warehouse, [parsed_file(input_parser, file, source)], is_log=source.format == ACCESS_LOG) as raw:
        yield raw


@contextmanager
def show_records(warehouse: DuckDBEngine, files: Sequence[ParsedFile], *, is_log: bool = False) -> Iterator[RawRecords]:
    """Expose parsed files that are alike as `raw_records` and `raw_rejects` while the context lasts.

    Of the lines of a log that are rejected the addresses are removed.
    """
    rows, rejects = (file.rows for file in files), (file.rejects for file in files)
    answer = files[0].answer
    raw = "without_addresses(raw)" if is_log else "raw"
    with _stream_errors(files), warehouse.shown("raw_records", JoinedRecords(tuple(rows))):
        with warehouse.shown("received_rejects", JoinedRecords(tuple(rejects), are_rejects=True)):
            warehouse.execute(
                "create or replace temp table raw_rejects as "
                f"select source_row, reason, detail, {raw} as raw, reject_ix from received_rejects"
            )
        types = tuple(warehouse.columns("raw_records").values())[2:] if answer.shape == "columns" else ()
        reject_counts = tuple(file.answer.reject_count for file in files)
        counts = tuple(file.answer.row_count + file.answer.reject_count for file in files)
        yield RawRecords(answer.shape, answer.names, types, counts, reject_counts)


@contextmanager
def _stream_errors(files: Sequence[ParsedFile]) -> Iterator[None]:
    """Raise the refusal of a stream in place of the database error that it caused."""
    try:
        yield
    except EngineError:
        for received in (part for file in files for part in (file.rows, file.rejects)):
            if received.error:
                raise received.error from None
        raise


@dataclass
class InputCopies:
    """The folder of one run's copies: regular files with a single link, named by number, readable by the owner only."""

    folder: Path
    limits: ParserLimits = field(default_factory=ParserLimits)
    _names: dict[str, str] = field(default_factory=dict)
    _held_bytes: int = 0
    _name_count: int = 0

    def describe(self, path: Path, base: Path, known_sizes: Collection[int] = ()) -> InputFile:
        """Hash a file and name it relative to the configuration in `base`; copy it on the way.

        A file whose size is in `known_sizes` is probably loaded already, so it is only hashed. RefusedFileError when
        the file cannot be read, is no regular file, is too large, or changes meanwhile.
        """
        try:
            size = path.stat().st_size
            is_copied = size not in known_sizes and self._held_bytes + size <= AHEAD_BYTES
            name = self._new_name() if is_copied else None
            sha256, size = self._read(path, name)
        except OSError as error:
            raise RefusedFileError("unreadable", f"the file cannot be read ({type(error).__name__})") from error
        if name and self._names.setdefault(sha256, name) != name:
            self._remove(name)
        return InputFile(shown_name(path, base), path, sha256, size)

    def take(self, found: Path | RemoteFile, base: Path) -> InputFile:
        """Hash and copy a file that `found_inputs` found; RefusedFileError when it cannot be read."""
        if isinstance(found, Path):
            return self.describe(found, base)
        (fetched,) = self.fetch([found])
        if isinstance(fetched, RefusedFileError):
            raise fetched
        return fetched[0]

    def adopt(self, path: Path, name: str) -> InputFile:
        """Hash a file that was made in `folder` and take it as the copy of an input called `name`."""
        own = self._new_name()
        path = path.rename(self.folder / own)
        found, size = self._read(path, None)
        self._held_bytes += size
        if self._names.setdefault(found, own) != own:
            self._remove(own)
        return InputFile(name, self.folder / self._names[found], found, size)

    def fetch(self, files: Sequence[RemoteFile]) -> list[tuple[InputFile, Version | None] | RefusedFileError]:
        """Download remote files; with each comes the version that proves its content, if any does."""
        names = [self._new_name() for _ in files]
        with ThreadPoolExecutor(DOWNLOADS) as pool:
            found = list(pool.map(self._fetched, files, names))
        fetched: list[tuple[InputFile, Version | None] | RefusedFileError] = []
        for file, name, each in zip(files, names, found, strict=True):
            if isinstance(each, RefusedFileError):
                fetched.append(each)
                continue
            self._held_bytes += each.byte_count
            if self._names.setdefault(each.sha256, name) != name:
                self._remove(name)
            fetched.append((remote_input(file, each.sha256, each.byte_count), each.version))
        return fetched

    def _fetched(self, file: RemoteFile, name: str) -> Downloaded | RefusedFileError:
        from journeyflow.ingest.remote import download

        target = self._open(name)
        try:
            return download(file, target, self.limits)
        except RefusedFileError as error:
            (self.folder / name).unlink()
            return error
        except OSError as error:
            raise _no_room(self.folder, error) from error
        finally:
            os.close(target)

    def name(self, file: InputFile) -> str:
        """Return the name of a file's copy in `folder`, copying it where needed; RefusedFileError when it changed."""
        if file.copy_sha256 not in self._names and file.remote:
            fetched = self.take(file.remote, self.folder)
            if fetched.sha256 != file.sha256:
                self.release(fetched)
                raise RefusedFileError("changed", _CHANGED)
        elif file.copy_sha256 not in self._names:
            name = self._new_name()
            try:
                found, _ = self._read(file.path, name)
                if file.is_archived:
                    found = content_hash(self.folder / name, file.path.name)
            except OSError as error:
                raise RefusedFileError("changed", _CHANGED) from error
            if found != file.copy_sha256:
                self._remove(name)
                damaged = "its archived copy is damaged; put the file back, or the copy from a backup"
                raise RefusedFileError("changed", damaged if file.is_archived else _CHANGED)
            self._names[file.copy_sha256] = name
        return self._names[file.copy_sha256]

    def holds(self, file: InputFile) -> bool:
        """Return whether a file is copied."""
        return file.copy_sha256 in self._names

    def path(self, file: InputFile) -> Path:
        """Return the path of a file's copy: see `name`."""
        return self.folder / self.name(file)

    def release(self, file: InputFile) -> None:
        """Remove the copy of a file."""
        if name := self._names.pop(file.copy_sha256, None):
            self._remove(name)

    def close(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _new_name(self) -> str:
        self._name_count += 1
        return f"{self._name_count}.in"

    def _remove(self, name: str) -> None:
        path = self.folder / name
        if path.exists():
            self._held_bytes -= path.stat().st_size
            path.unlink()

    def _read(self, path: Path, name: str | None) -> tuple[str, int]:
        """Return hash and size of a file and copy it to `name`; a file that grows is read to its first size only."""
        with regular(path) as origin:
            before = os.fstat(origin.fileno())
            if before.st_size > self.limits.file_bytes:
                raise RefusedFileError("too_large", "it is larger than `limits.file` allows")
            digest, left = hashlib.sha256(), before.st_size
            target = self._open(name) if name else None
            try:
                while left > 0 and (block := origin.read(min(BLOCK_BYTES, left))):
                    digest.update(block)
                    left -= len(block)
                    if target is not None:
                        _write(target, block)
            finally:
                if target is not None:
                    os.close(target)
            after = os.fstat(origin.fileno())
        if left or (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            if name:
                (self.folder / name).unlink()
            raise RefusedFileError("changed", _CHANGED)
        self._held_bytes += before.st_size if name else 0
        return digest.hexdigest(), before.st_size

    def _open(self, name: str) -> int:
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
            return os.open(self.folder / name, flags, 0o600)
        except OSError as error:
            raise _no_room(self.folder, error) from error


def found_inputs(path: Path | RemotePath, base: Path, owner: str) -> list[Path | RemoteFile]:
    """Return the files of a path of the configuration in `base`; RefusedFileError when a store cannot be listed."""
    if isinstance(path, RemotePath):
        from journeyflow.ingest.remote import listing

        return [*listing(path, owner)]
    return [*matching_paths(str(path), base)]


def input_name(found: Path | RemotePath | RemoteFile, base: Path) -> str:
    """Return the name of a file, or of what finds it, for tables and messages."""
    if isinstance(found, Path):
        return shown_name(found, base)
    return found.name if isinstance(found, RemoteFile) else escaped(found)


def remote_input(file: RemoteFile, sha256: str, byte_count: int) -> InputFile:
    """Return a remote file of a known content."""
    return InputFile(file.name, Path(file.name), sha256, byte_count, remote=file)


def _write(target: int, block: bytes) -> None:
    try:
        rest = memoryview(block)
        while rest:
            rest = rest[os.write(target, rest) :]
    except OSError as error:
        raise _no_room(Path("the state folder"), error) from error


def _no_room(folder: Path, error: OSError) -> JourneyflowError:
    return JourneyflowError(
        f"Cannot copy an input file into {folder}: {error.strerror or type(error).__name__}. See that the disk has "
        "room and the folder can be written."
    )
