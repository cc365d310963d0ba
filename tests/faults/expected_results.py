"""Loads files and compares the result with the expected one."""

from __future__ import annotations

import collections
import resource

from faults import corpus
from journeyflow.config import load_config
from journeyflow.ingest.load import load_events
from journeyflow.state.warehouse import open_warehouse

COLUMNS = {"event_id": "id", "occurred_at": "ts", "anonymous_id": "cookie", "event_name": "event"}
MAPPED = {"columns": COLUMNS, "where": {"event": {"not": "skip_me"}}}
SOURCES = {
    "csv": ({"format": "csv"} | MAPPED, corpus.csv_cases),
    "json": ({"format": "jsonl"} | MAPPED, corpus.json_cases),
    "archive": ({"format": "csv"} | MAPPED, corpus.archive_cases),
    "parquet": ({"format": "parquet"} | MAPPED, corpus.parquet_cases),
    "log": ({"format": "access_log"}, corpus.log_cases),
}
NOW_US = 1_800_000_000_000_000
COUNTS = "record_count, accepted_count, quarantined_count, duplicate_count, filtered_count, erased_count"


def config_of(folder, source):
    return load_config({"sources": {"web": source | {"path": "data/*"}}}, folder=folder)


def load(warehouse, folder, source):
    return load_events(config_of(folder, source), warehouse, run_id="r", now_us=NOW_US)


def found(warehouse, name):
    """Return what the ledger and the raw tables say of a file, each counted by itself."""
    counts = warehouse.rows(
        f"select {COUNTS}, status, detail from ledger.loads where source_file = ?", [name]
    ).to_pylist()
    (row,) = counts
    inserted = warehouse.rows(
        "select count(*) as n from raw.events where file_ix in "
        "(select file_ix from ledger.files where source_file = ?)",
        [name],
    )["n"][0].as_py()
    reasons = warehouse.rows("select reason from raw.quarantine where source_file = ?", [name])["reason"].to_pylist()
    return row, inserted, dict(collections.Counter(reasons))


def differing(warehouse, cases):
    """Say where the results of files are not those of their cases."""
    return [text for case in cases for text in differences(warehouse, case, f"data/{case.name}")]


def differences(warehouse, case, name):
    """Say where the result of a file is not that of its case."""
    row, inserted, reasons = found(warehouse, name)
    due = case.expected
    if due.refused:
        is_as_expected = row["status"] == "refused" and due.refused in row["detail"] and not inserted and not reasons
        return (
            []
            if is_as_expected
            else [f"{name}: {row}, {inserted} inserted, {reasons}; expected refusal: {due.refused}"]
        )
    said = tuple(row[column] for column in COUNTS.split(", "))
    expected = (due.records, due.accepted, due.quarantined, due.duplicate, due.filtered, 0)
    is_as_expected = (
        row["status"] == "loaded" and said == expected and inserted == due.accepted and reasons == due.reasons
    )
    return (
        [] if is_as_expected else [f"{name}: {row}, {inserted} inserted, {reasons}; expected {expected}, {due.reasons}"]
    )


BOMBS = {"csv": corpus.bomb_cases, "json": corpus.json_bomb_cases, "parquet": corpus.parquet_bomb_cases}


def load_bombs(folder, kind, told):
    """Load the bombs in a process of their own; tell differences, and megabytes gained by it and taken by its child."""
    with open_warehouse(threads=1, memory_limit="200MB") as warehouse:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        load(warehouse, folder, SOURCES[kind][0])
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        parsing = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        told.send((differing(warehouse, BOMBS[kind]()), grown // 1024, parsing // 1024))
