"""The peak memory of the processes that parse files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from unittest.mock import patch

from journeyflow.ingest.parser.client import Parser

_PAUSE_SECONDS = 0.005


class Peaks(dict[int, int]):
    """Megabytes that each process held at most, by its id.

    The kernel's own peak of the process since its program was started: what `getrusage` tells of a child begins with
    the memory of the process that started it.
    """

    def look(self, process: int) -> None:
        """Read the peak of a process, if it is still there."""
        with suppress(OSError, StopIteration):
            lines = Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines()
            self[process] = int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) >> 10


@contextmanager
def watched_parsers() -> Iterator[Peaks]:
    """Yield the peaks of all processes that parse files meanwhile; complete at the end."""
    peaks, is_over = Peaks(), Event()
    start, line = Parser._start, Parser._line

    def started(parser: Parser) -> None:
        start(parser)
        assert parser._process
        peaks.look(parser._process.pid)

    def answered(parser: Parser, seconds: float) -> bytes | None:
        found = line(parser, seconds)
        if parser._process:
            peaks.look(parser._process.pid)
        return found

    def sample() -> None:  # One that ends in the middle of a file gives no answer after which to look.
        while not is_over.wait(_PAUSE_SECONDS):
            for process in list(peaks)[-1:]:
                peaks.look(process)

    sampler = Thread(target=sample)
    sampler.start()
    try:
        with patch.object(Parser, "_start", started), patch.object(Parser, "_line", answered):
            yield peaks
    finally:
        is_over.set()
        sampler.join()
