"""Exports that are too much, in every format: the file or its record is given up, and memory is bounded."""

from __future__ import annotations

import gzip
import random
import resource

import pytest

from faults import run_process
from faults.corpus import LONG_TIER
from faults.exports import made
from faults.record_count import record_count
from journeyflow.config import load_config
from journeyflow.ingest.load import load_events
from journeyflow.state.warehouse import open_warehouse

EXPORTS = {export.name: export for export in made(is_every=LONG_TIER)}
MEGABYTES = 1000
"""What these files may add to the memory of a run, and take of the parsing process, together."""
NOW_US = 1_800_000_000_000_000
DEPTH = 1_000_000
HUGE = 12 << 20
COUNTS = ("accepted", "quarantined", "duplicate", "filtered", "erased")


def wide(export):
    """5,000 columns more."""
    more = {f"x{number}": "1" for number in range(5_000)}
    return export.content([row | more for row in export.rows], random.Random(1))


def dotted(export):
    """A column whose name has 500 parts, and one that has 5,000."""
    more = {".".join(f"a{number}" for number in range(count)): "1" for count in (500, 5_000)}
    return export.content([row | more for row in export.rows], random.Random(2))


def deep(export):
    """JSON of a million levels, closed and not: as text in every column of a row, and as a record of JSON lines."""
    texts = ["[" * DEPTH, '{"a":' * DEPTH + "1" + "}" * DEPTH]
    if export.container in ("jsonl", "envelopes"):
        whole = export.content(export.rows, random.Random(1)).decode()
        return (whole + "".join(f'{{"properties":{text},"event_params":{text}}}\n' for text in texts)).encode()
    name = next(
        (name for name in ("properties", "event_params", "event_properties", "plan") if name in export.rows[0]), ""
    )
    name = name or list(export.rows[0])[-1]
    return export.content([*export.rows, *(export.rows[0] | {name: text} for text in texts)], random.Random(1))


def enormous(export):
    """A cell of 12 million characters in each column of a row of its own, for five columns."""
    names = list(export.rows[0])[:5]
    return export.content([*export.rows, *(export.rows[0] | {name: "x" * HUGE} for name in names)], random.Random(1))


def bomb(export):
    """A gzip file that unpacks to 400 MB: more than 256 MB and 200 times its size."""
    whole = export.content(export.rows, random.Random(1))
    blank = gzip.compress(b" " * (8 << 20) + b"\n")
    return gzip.compress(whole) + blank * 50


KINDS = {make.__name__: make for make in (wide, deep, dotted, enormous, bomb)[: None if LONG_TIER else 2]}


def load(folder, told):
    """Load the files in a process of their own; tell the outcomes, the memory it gained and that of its child."""
    sources = {name: export.source | {"path": f"{name}/*"} for name, export in EXPORTS.items()}
    config = load_config({"sources": sources}, folder=folder)
    with open_warehouse(threads=1, memory_limit="200MB") as warehouse:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        load_events(config, warehouse, run_id="r", now_us=NOW_US)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        parsing = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        loads = warehouse.rows("select * from ledger.loads order by source_file").to_pylist()
    told.send(([_outcome(folder, row) for row in loads], grown // 1024, parsing // 1024))


def _outcome(folder, row):
    name, _, file = row["source_file"].partition("/")
    if row["status"] != "loaded":
        return name, file, row["status"], row["detail"], None
    counted = sum(row[f"{outcome}_count"] for outcome in COUNTS)
    return name, file, "loaded", counted, record_count((folder / name / file).read_bytes(), EXPORTS[name].source)


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_too_much_costs_itself_only(tmp_path, kind):
    heard, told = run_process.CONTEXT.Pipe(duplex=False)
    written = set()
    for name, export in EXPORTS.items():
        (tmp_path / name).mkdir()
        good = export.content(export.rows, random.Random(1))
        # A log line has no columns; the same content would not be loaded twice.
        for content, file in {KINDS[kind](export): "much", good: "good"}.items():
            (tmp_path / name / file).write_bytes(content)
            written.add((name, file))
    process = run_process.CONTEXT.Process(target=load, args=(tmp_path, told))
    process.start()
    told.close()
    outcomes, megabytes, parsing = heard.recv()
    process.join(60)
    assert {(name, file) for name, file, *_ in outcomes} == written
    for name, file, status, found, due in outcomes:
        assert status == "loaded" or (file == "much" and found), (name, file, found)
        assert status != "loaded" or found == due, (name, file)
        if kind == "bomb" and file == "much":
            assert status == "refused"
    assert megabytes + parsing < MEGABYTES
    print(f"{kind}: {megabytes} MB more memory, {parsing} MB to parse")  # noqa: T201 - for `make faults`
