"""Parser client: sends jobs to the parser process and survives its failures."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from journeyflow.errors import JourneyflowError
from journeyflow.ingest.parser.jobs import Answer, Job, ParserLimits, refusal
from journeyflow.ingest.parser.transfer import distrusted

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
"""Files that the process is told of before their turn: with more, both sides could wait for the other to read."""
_READ_BYTES = 1 << 16
_ENVIRONMENT = {
    "LANG": "C.UTF-8",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "OMP_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",
}
"""All that the process gets to know; the memory of its threads is kept together, so that it can be limited."""


@dataclass
class Parser:
    """Parses staged files in a child process, started when the first is there and again after one has ended it.

    Parameters
    ----------
    folder : Path
        Where the staged files lie and the records are handed over.
    limits : Limits
        What one file may cost.
    """

    folder: Path
    limits: ParserLimits = field(default_factory=ParserLimits)
    _process: subprocess.Popen[bytes] | None = None
    _asked: list[Job] = field(default_factory=list)
    _told_count: int = 0
    _answers: dict[Job, dict[str, Any]] = field(default_factory=dict)
    _held: bytearray = field(default_factory=bytearray)

    def ask(self, jobs: Iterable[Job]) -> None:
        """Have files parsed soon, in this order, while the run does something else."""
        for job in jobs:
            if job not in self._asked and job not in self._answers:
                self._asked.append(job)
        self._tell()

    def answer(self, job: Job) -> Answer:
        """Return what was handed over of a file, once it is parsed.

        Raises
        ------
        RefusedFileError
            When it cannot be read, or ended the process, or took longer than it may.
        JourneyflowError
            When the process cannot be started, or the disk is full.
        """
        self.ask([job])
        while job not in self._answers:
            self._answers[self._asked[0]] = self._next()
            self._asked.pop(0)
            self._told_count = max(self._told_count - 1, 0)
            if self._process:
                self._tell()
        said = self._answers[job]
        try:
            if "refused" in said:
                raise refusal(said["refused"])  # It stays known: another try would take as long.
            del self._answers[job]
            if "failed" in said:
                raise JourneyflowError(f"There is no room to unpack a file in {self.folder}: free some and run again.")
            return Answer.read(said.get("done"))
        except ValueError as error:
            raise distrusted(str(error)) from error

    def forget(self, job: Job) -> None:
        """Drop what is known of a file, and what was handed over of it."""
        self._answers.pop(job, None)
        for name in (job.rows_file, job.rejects_file, f"{job.file}.unpacked"):
            (self.folder / name).unlink(missing_ok=True)

    def close(self) -> None:
        """End the process."""
        if self._process:
            self._process.kill()  # Nothing that it could still do is wanted, and leaving by itself takes it a while.
            self._end()

    def __enter__(self) -> Parser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _tell(self) -> None:
        """Tell the process of the next files, if there are any; it is started where it does not run."""
        if self._asked and self._process is None:
            self._start()
        for job in self._asked[self._told_count : MOST_AHEAD]:
            self._write(job)
            self._told_count += 1

    def _write(self, job: Job) -> None:
        assert self._process
        assert self._process.stdin
        try:
            self._process.stdin.write(job.written())
        except BrokenPipeError:
            return  # It has ended; the answer that is missing will tell.

    def _next(self) -> dict[str, Any]:
        """Return the answer to the job that was asked first."""
        self._tell()
        line = self._line(self.limits.seconds)
        if line is None:
            return {"refused": ["too_slow", f"reading it takes longer than {self.limits.seconds} s, see `limits.time`"]}
        if not line:
            return {"refused": ["crashed", _cause(self._end())]}
        try:
            said = json.loads(line)
        except (ValueError, RecursionError):
            said = None
        if not isinstance(said, dict):
            self._end()
            return {"refused": ["distrusted", distrusted("no answer").detail]}
        return said

    def _start(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        paths = json.dumps([os.path.abspath(path) for path in sys.path])  # noqa: PTH100 — an empty one is this folder
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", BOOT, paths, str(os.getpid()), self.limits.written()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # What a parser says of a file may hold pieces of it.
            bufsize=0,
            cwd=self.folder,
            env=_ENVIRONMENT,
            start_new_session=True,
        )
        self._held = bytearray()
        if not self._line(START_SECONDS):
            self._end()
            raise JourneyflowError(
                "The process that parses files cannot be started, so no file was read. See that Python can start "
                "another Python with at least the memory of `limits.memory`, and `journeyflow doctor`."
            )

    def _line(self, seconds: float) -> bytes | None:
        """Return the next line of the process; nothing when it has ended, None when it took too long and was ended."""
        assert self._process
        assert self._process.stdout
        source, until = self._process.stdout.fileno(), time.monotonic() + seconds
        waiting = select.poll()
        waiting.register(source, select.POLLIN)
        is_whole = b"\n" in self._held
        while not is_whole:
            if not waiting.poll(max(until - time.monotonic(), 0) * 1_000):
                self._end()
                return None
            block = os.read(source, _READ_BYTES)
            if not block or len(self._held) > MAX_ANSWER_BYTES:
                return b""
            self._held += block
            is_whole = b"\n" in block
        line, _, self._held = self._held.partition(b"\n")
        return bytes(line)

    def _end(self) -> int:
        """End the process and return how it ended: minus the signal, where it was one."""
        process, self._process = self._process, None
        self._told_count = 0
        assert process
        for stream in (process.stdin, process.stdout):
            assert stream
            stream.close()
        try:
            code = process.wait(timeout=0.5)  # It may have ended by itself, which tells why.
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
