"""A parsing process that does what a file says: the worst that a taken over or a broken one could do."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import struct
import sys
import time

import pyarrow as pa

from journeyflow.ingest.parser import transfer, worker

BOOT = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from faults import faulty_parser
faulty_parser.main()
"""
"""Stands in for `parser.BOOT`."""
MARK = b"do: "


def main():
    """Serve as the process does, but obey files that hold an order."""
    original = worker.parse

    def parse(folder, job, *rest):
        content = (folder / job.file).read_bytes()
        order = content.partition(MARK)[2].split(b"\n")[0].decode()
        if order in BEFORE:
            BEFORE[order]()
        answer = original(folder, job, *rest)
        return AFTER[order](folder, job, answer) if order in AFTER else answer

    worker.parse = parse
    worker.main()


def _spin():
    while True:
        pass


def _eat():
    held = []
    while True:
        held.append(bytearray(1 << 24))


def _eat_outside_python():
    held = []
    while True:
        held.append(pa.allocate_buffer(1 << 24))


def _recurse():
    _recurse()


def _fail():
    raise KeyError("secret of a row")


def _babble():
    for handle in range(3, 20):
        try:
            os.write(handle, b"no answer at all\n")
        except OSError:
            continue


def _babble_for_ever():
    while True:
        for handle in range(3, 20):
            try:
                os.write(handle, b"x" * (1 << 20))
            except OSError:
                continue


BEFORE = {
    "crash": lambda: ctypes.string_at(0),
    "abort": os.abort,
    "exit": lambda: os._exit(0),
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "sleep": lambda: time.sleep(600),
    "spin": _spin,
    "eat": _eat,
    "eat_outside_python": _eat_outside_python,
    "recurse": _recurse,
    "fail": _fail,
    "stack": lambda: (sys.setrecursionlimit(10**9), json.loads("[" * 10**7)),
    "babble": _babble,
    "babble_for_ever": _babble_for_ever,
}
"""What may happen instead of parsing."""


def _write(folder, job, batch):
    with pa.OSFile(str(folder / job.rows_file), "wb") as file, pa.ipc.new_stream(file, batch.schema) as stream:
        stream.write_batch(batch)


def _read(folder, job):
    with pa.OSFile(str(folder / job.rows_file)) as file, pa.ipc.open_stream(file) as stream:
        return stream.read_next_batch()


def _other_count(folder, job, answer):
    return transfer.Answer(answer.shape, answer.names, answer.row_count + 1, answer.reject_count)


def _other_names(folder, job, answer):
    return transfer.Answer(answer.shape, (*answer.names, "more"), answer.row_count, answer.reject_count)


def _other_types(folder, job, answer):
    batch = _read(folder, job)
    _write(folder, job, pa.record_batch([batch[0].cast(pa.int32()), *batch.columns[1:]], names=batch.schema.names))
    return answer


def _dictionaries(folder, job, answer):
    batch = _read(folder, job)
    columns = [*batch.columns[:2], *(column.dictionary_encode() for column in batch.columns[2:])]
    _write(folder, job, pa.record_batch(columns, names=batch.schema.names))
    return answer


def _other_bytes(folder, job, old, new):
    path = folder / job.rows_file
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new))


def _wild_offsets(folder, job, answer):
    count = answer.row_count
    offsets = _read(folder, job)[2].buffers()[1][: 4 * (count + 1)].to_pybytes()
    _other_bytes(folder, job, offsets, struct.pack(f"<{count + 1}i", 0, *[1 << 30] * count))
    return answer


def _no_text(folder, job, answer):
    _other_bytes(folder, job, b"view", b"\xff\xfe\xff\xfe")
    return answer


def _torn(folder, job, answer):
    path = folder / job.rows_file
    path.write_bytes(path.read_bytes()[:-200])
    return answer


def _gone(folder, job, answer):
    (folder / job.rows_file).unlink()
    return answer


AFTER = {
    "other_count": _other_count,
    "other_names": _other_names,
    "other_types": _other_types,
    "dictionaries": _dictionaries,
    "wild_offsets": _wild_offsets,
    "no_text": _no_text,
    "torn": _torn,
    "gone": _gone,
}
"""What may be handed over instead of records."""
