"""Mutated exports of every format: no run stops, every record is accounted for, memory is bounded, nothing is told.

Some hundreds in `make check`, 20,000 in `make faults`; `JOURNEYFLOW_FUZZ` says how many, `JOURNEYFLOW_SEED` which.
"""

from __future__ import annotations

import logging
import os
import random
import resource

import pytest

import journeyflow
from faults import corpus, faulty_parser
from faults.exports import MARK, made, real
from faults.mutations import many_rows, mutant
from faults.record_count import record_count
from journeyflow.config import load_config
from journeyflow.ingest.parser import client
from journeyflow.ingest.parser.client import Parser
from journeyflow.ingest.parser.transfer import Job
from journeyflow.state.warehouse import open_warehouse
from support.parser_memory import watched_parsers

IS_LONG = bool(os.environ.get("JOURNEYFLOW_FUZZ") or os.environ.get("JOURNEYFLOW_FAULTS"))
BUILT = None if IS_LONG else ("insights.blind_spots", "marts.touchpoints", "marts.event_kinds", "marts.funnel_steps")
ROWS, FILES = (150, 24) if IS_LONG else (25, 3)
"""Mutated rows, all in one file, and mutated files of each export in one run."""
WANTED = int(os.environ.get("JOURNEYFLOW_FUZZ", "20000" if IS_LONG else "1"))
SEED = int(os.environ.get("JOURNEYFLOW_SEED", "1"))
EXPORTS = [*made(), *real()] if IS_LONG else [*made(is_every=False)]
RUN_COUNT = -(-WANTED // ((ROWS + FILES) * len(EXPORTS)))
PARSER_MEGABYTES = 500
"""`limits.memory` of the runs."""
LIBRARY_MEGABYTES = 200
"""Code and files that the process maps: they count among what it holds, not among what it may allocate."""
MOST_MEGABYTES = 400
"""What a run may take beyond the first."""
_ran_before: list[int] = []
"""Runs of this process: the first one imports and compiles."""
COUNTS = ("accepted", "quarantined", "duplicate", "filtered", "erased")


def config_of(folder):
    sources = {export.name: export.source | {"path": f"in/{export.name}/*"} for export in EXPORTS}
    limits = {"memory": f"{PARSER_MEGABYTES}MB", "time": "60s"}
    return load_config({"sources": sources, "limits": limits, "min_count": 1}, folder=folder)


def write_files(folder, rng):
    """Write each export as it is and mutated; return the contents by name."""
    contents = {}
    for export in EXPORTS:
        (folder / "in" / export.name).mkdir(parents=True)
        whole = export.content(export.rows, random.Random(1))
        mutants = [many_rows(export, rng, ROWS), *(mutant(export, rng) for _ in range(FILES))]
        for number, content in enumerate([whole, *mutants]):
            path = folder / "in" / export.name / f"{number:03}"
            path.write_bytes(content)
            contents[f"in/{export.name}/{number:03}"] = (export, content)
    return contents


@pytest.mark.parametrize("number", range(RUN_COUNT))
def test_a_run_over_mutated_exports(tmp_path, number, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    rng = random.Random(SEED * 1_000_003 + number)
    contents = write_files(tmp_path, rng)
    before = megabytes()
    with watched_parsers() as peaks:
        report = journeyflow.run(config_of(tmp_path))
    grown = megabytes() - before
    with open_warehouse(tmp_path / "state" / "warehouse.duckdb") as warehouse:
        loads = warehouse.rows("select * from ledger.loads").to_pylist()
    problems = [problem for row in loads for problem in wrong_counts(row, *contents[row["source_file"]])]
    assert not problems, "\n".join(problems)
    # Of equal contents in one source, the first is loaded.
    assert len(loads) == len({(export.name, content) for export, content in contents.values()})
    said = [caplog.text, *capfd.readouterr(), *report.alerts, *report.warnings, *(row["detail"] or "" for row in loads)]
    assert not [text for text in said if MARK in text]
    assert not _ran_before or grown < MOST_MEGABYTES
    _ran_before.append(number)
    assert peaks
    assert max(peaks.values()) < PARSER_MEGABYTES + LIBRARY_MEGABYTES
    refused = sum(row["status"] == "refused" for row in loads)
    files = f"{len(contents):,} files, {refused:,} refused, {report.accepted_count:,} events"
    print(f"run {number}: {files}, {grown} MB more, {max(peaks.values())} MB to parse")  # noqa: T201 - for `make faults`


def test_a_parser_that_takes_more_than_it_may_is_seen(tmp_path, monkeypatch):
    """The judge is tested: the process takes its memory, gives it back before it answers, and has no limit."""
    monkeypatch.setattr(client, "BOOT", faulty_parser.BOOT.replace("faulty_parser.main()", GREEDY))
    (tmp_path / "0.in").write_bytes(corpus.text(corpus.HEADER, *corpus.good("greedy")))
    with watched_parsers() as peaks, Parser(tmp_path) as parser:
        assert parser.answer(Job("0.in", 100, "csv")).row_count == 2
    assert max(peaks.values()) > PARSER_MEGABYTES + LIBRARY_MEGABYTES


GREEDY = f"""
from journeyflow.ingest.parser import worker
def allow(*_):
    bytearray(b"x") * ({PARSER_MEGABYTES + LIBRARY_MEGABYTES} << 20)
worker._allow, worker._confine = allow, lambda limits: None
worker.main()
"""


def megabytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def wrong_counts(row, export, content):
    """Say where the counts of a loaded file are not those of its records."""
    if row["status"] != "loaded":
        if row["detail"]:
            return
        yield f"{row['source_file']}: {row['status']} without a reason"
        return
    accounted = sum(row[f"{outcome}_count"] for outcome in COUNTS)
    if (due := record_count(content, export.source)) != accounted or accounted != row["record_count"]:
        yield f"{row['source_file']}: {due} records, {row['record_count']} read, {accounted} accounted for"
