"""Private copies of input files, parsed in the parser process, whose failures the client survives."""

from __future__ import annotations

import hashlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from journeyflow.config import Config
from journeyflow.config.sources import People, RemotePath, Source
from journeyflow.engines import DuckDBEngine
from journeyflow.errors import EngineError, JourneyflowError
from journeyflow.ingest.files import (
    BLOCK_BYTES,
    InputFile,
    RefusedFileError,
    RemoteFile,
    content_hash,
    matching_paths,
    regular,
    shown_name,
)
from journeyflow.ingest.parser.records import RawRecords
from journeyflow.ingest.parser.transfer import (
    Answer,
    Job,
    JoinedRecords,
    ParsedFile,
    ParserLimits,
    distrusted,
    receive_records,
    receive_rejects,
    refusal,
)
from journeyflow.utils.formatting import escaped

if TYPE_CHECKING:
    from journeyflow.ingest.files import Version
    from journeyflow.ingest.remote import Downloaded


BOOT = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from journeyflow.ingest.parser.worker import main
main()
"""
START_SECONDS = 120
MAX_ANSWER_BYTES = 1 << 27
"""The longest header, every character of it escaped."""
MOST_AHEAD = 16
"""Jobs sent ahead of their turn: with more, both sides could wait for the other to read."""
_READ_BYTES = 1 << 16
_ENVIRONMENT = {
    "LANG": "C.UTF-8",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "OMP_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",
}
"""The whole environment of the process; its threads share one memory pool, so that the limit holds for all."""


@dataclass
class Parser:
    """Parses copied files in a child process, which starts with the first job and again after a crash.

    `folder` holds the copied files and receives the records.
    """

    folder: Path
    limits: ParserLimits = field(default_factory=ParserLimits)
    _process: subprocess.Popen[bytes] | None = None
    _queue: dict[Job, None] = field(default_factory=dict)
    _sent_count: int = 0
    _answers: dict[Job, dict[str, Any]] = field(default_factory=dict)
    _buffer: bytearray = field(default_factory=bytearray)

    def ask(self, jobs: Iterable[Job]) -> None:
        """Queue files to be parsed in this order, while the run does something else."""
        for job in jobs:
            if job not in self._queue and job not in self._answers:
                self._queue[job] = None
        self._send()

    def answer(self, job: Job) -> Answer:
        """Wait for a file to be parsed; RefusedFileError when it cannot be, or ended the process, or took too long."""
        self.ask([job])
        while job not in self._answers:
            answer = self._next()
            first = next(iter(self._queue))
            self._answers[first] = answer
            del self._queue[first]
            self._sent_count = max(self._sent_count - 1, 0)
            if self._process:
                self._send()
        message = self._answers[job]
        try:
            if "refused" in message:
                raise refusal(message["refused"])  # The answer stays: another attempt would take as long.
            del self._answers[job]
            if "failed" in message:
                raise JourneyflowError(f"There is no room to unpack a file in {self.folder}: free some and run again.")
            return Answer.from_message(message.get("done"))
        except ValueError as error:
            raise distrusted(str(error)) from error

    def discard(self, job: Job) -> None:
        """Remove the answer and the records of a file."""
        self._answers.pop(job, None)
        for name in (job.rows_file, job.rejects_file, f"{job.file}.unpacked"):
            (self.folder / name).unlink(missing_ok=True)

    def close(self) -> None:
        """End the process."""
        if self._process:
            self._process.kill()  # Its work is no longer needed, and a regular exit takes longer.
            self._end()

    def __enter__(self) -> Parser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _send(self) -> None:
        if self._queue and self._process is None:
            self._start()
        for job in list(islice(self._queue, self._sent_count, MOST_AHEAD)):
            self._write(job)
            self._sent_count += 1

    def _write(self, job: Job) -> None:
        assert self._process
        assert self._process.stdin
        try:
            self._process.stdin.write(job.to_line())
        except BrokenPipeError:
            return  # The process has ended; its missing answer shows that.

    def _next(self) -> dict[str, Any]:
        """Return the answer to the first job of the queue."""
        self._send()
        line = self._line(self.limits.seconds)
        if line is None:
            return {"refused": ["too_slow", f"reading it takes longer than {self.limits.seconds} s, see `limits.time`"]}
        if not line:
            return {"refused": ["crashed", _cause(self._end())]}
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict):
            self._end()
            return {"refused": ["distrusted", distrusted("no answer").detail]}
        return message

    def _start(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        paths = json.dumps([os.path.abspath(path) for path in sys.path])  # noqa: PTH100 — an empty one is this folder
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", BOOT, paths, str(os.getpid()), self.limits.to_json()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # A parser's messages may quote the file.
            bufsize=0,
            cwd=self.folder,
            env=_ENVIRONMENT,
            start_new_session=True,
        )
        self._buffer = bytearray()
        if not self._line(START_SECONDS):
            self._end()
            raise JourneyflowError(
                "The process that parses files cannot be started, so no file was read. See that Python can start "
                "another Python with at least the memory of `limits.memory`, and `journeyflow doctor`."
            )

    def _line(self, seconds: float) -> bytes | None:
        """Return the next line of the process: empty when it has ended, None when it timed out and was killed."""
        assert self._process
        assert self._process.stdout
        source, until = self._process.stdout.fileno(), time.monotonic() + seconds
        waiting = select.poll()
        waiting.register(source, select.POLLIN)
        is_complete = b"\n" in self._buffer
        while not is_complete:
            if not waiting.poll(max(until - time.monotonic(), 0) * 1_000):
                self._end()
                return None
            block = os.read(source, _READ_BYTES)
            if not block or len(self._buffer) > MAX_ANSWER_BYTES:
                return b""
            self._buffer += block
            is_complete = b"\n" in block
        line, _, self._buffer = self._buffer.partition(b"\n")
        return bytes(line)

    def _end(self) -> int:
        """End the process and return its exit code; a signal is negative."""
        process, self._process = self._process, None
        self._sent_count = 0
        assert process
        for stream in (process.stdin, process.stdout):
            assert stream
            stream.close()
        try:
            code = process.wait(timeout=0.5)  # Where it ended by itself, the exit code says why.
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        return code


def _cause(code: int) -> str:
    if code == -signal.SIGXCPU:
        return "reading it takes longer than `limits.time` allows"
    if code == -signal.SIGKILL:
        return "its parser was ended by the system, most likely for want of memory"
    return f"it ends its parser (exit {code}): it is damaged, or made to do harm"


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
        spans = tuple(count + file.erased_count for count, file in zip(counts, files, strict=True))
        yield RawRecords(answer.shape, answer.names, types, counts, reject_counts, spans)


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
