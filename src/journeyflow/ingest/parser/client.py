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
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any

from journeyflow.errors import JourneyflowError
from journeyflow.ingest.parser.transfer import Answer, Job, ParserLimits, distrusted, refusal

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
