"""Readers that follow `current` while it is swapped: no error, no two generations in one pass, none kept waiting."""

from __future__ import annotations

import os
import time

from faults import readers, run_process
from journeyflow.engines import DuckDBEngine

LONG = bool(os.environ.get("JOURNEYFLOW_FAULTS"))
PUBLICATIONS = 200 if LONG else 5
READS = 10_000 if LONG else 30
PAUSE = 0.3 if LONG else 0.2
BLOCKED_SECONDS = 10


def test_readers_are_never_disturbed(tmp_path):
    with DuckDBEngine(threads=1, folders=[tmp_path]) as engine:
        readers.published(engine, tmp_path, 0)
        stop = run_process.CONTEXT.Event()
        running = [readers.start(number, tmp_path, stop) for number in range(len(readers.READERS))]
        began = time.monotonic()
        for number in range(1, PUBLICATIONS + 1):
            time.sleep(PAUSE)
            readers.published(engine, tmp_path, number)
        # Each pass reads two tables; readers go on until there were enough of them.
        time.sleep(max(0.0, READS / 100 - (time.monotonic() - began)))
        stop.set()
    told = []
    for process, heard in running:
        assert heard.poll(60), "a reader hangs"
        told.append(heard.recv())
        process.join(30)
    passes, longest, seen, errors = zip(*told, strict=True)
    print(f"{sum(passes)} reads during {PUBLICATIONS} publications, the longest {max(longest):.2f} s, {seen} seen")  # noqa: T201
    assert not [error for found in errors for error in found]
    assert sum(passes) >= READS
    assert min(seen) > 1
    assert max(longest) < BLOCKED_SECONDS
