"""The product broken on purpose, in six ways that pipelines are often broken in: each must be noticed by a check."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest

from faults import corpus, readers
from faults.corpus import HEADER, Case, Expected, text
from faults.expected_results import SOURCES, differing, load
from journeyflow.engines import DuckDBEngine
from journeyflow.errors import JourneyflowError
from journeyflow.ingest import insert
from journeyflow.ingest import load as loader
from journeyflow.ingest.parser import lines
from journeyflow.publish import generation
from journeyflow.publish.reader import read_manifest
from journeyflow.state.warehouse import open_warehouse
from journeyflow.utils import files
from support.in_process_parser import parse_in_process


@pytest.fixture
def warehouse():
    with open_warehouse(threads=1) as opened:
        yield opened


@pytest.fixture
def engine(tmp_path):
    with DuckDBEngine(threads=1, folders=[tmp_path]) as opened:
        yield opened


def loaded(warehouse, folder, *cases, kind="csv"):
    """Load files one after the other and say what is not as their cases say."""
    (folder / "data").mkdir(exist_ok=True)
    for case in cases:
        (folder / "data" / case.name).write_bytes(case.make())
        load(warehouse, folder, SOURCES[kind][0])
    return differing(warehouse, cases)


def case(name, content, expected):
    return Case(name, lambda: content, expected)


GOOD = case("good", text(HEADER, *corpus.good("g")), Expected(2))
LATE = case("late", text(HEADER, "l1,2025-12-01 00:00:00,c,view"), Expected(1))
TORN = next(found for found in corpus.json_cases() if found.name == "torn_line")


def is_whole(folder: Path) -> bool:
    """Check what readers see: every table of the current generation, by its hash."""
    current = folder / "current"
    try:
        tables = read_manifest(current).tables
    except JourneyflowError:
        return False
    return all(files.sha256(current / entry.file) == entry.sha256 for entry in tables.values())


@pytest.mark.parametrize("is_broken", [False, True])
def test_publish_before_commit_is_noticed(engine, tmp_path, monkeypatch, is_broken):
    readers.published(engine, tmp_path, 1)
    original = generation._write_parquet

    def fail(built, model, folder):
        if is_broken:
            files.point(tmp_path / "current", f"generations/{folder.name}")
        if model.table == "others":
            raise OSError(28, "No space left on device")
        return original(built, model, folder)

    monkeypatch.setattr(generation, "_write_parquet", fail)
    with pytest.raises(JourneyflowError):
        readers.published(engine, tmp_path, 2)
    assert is_whole(tmp_path) is not is_broken


@pytest.mark.parametrize("is_broken", [False, True])
def test_a_file_registry_outside_the_transaction_is_noticed(warehouse, tmp_path, monkeypatch, is_broken):
    if is_broken:
        monkeypatch.setattr(loader, "transaction", lambda _: contextlib.nullcontext())
    with monkeypatch.context() as patch:
        patch.setattr(loader.FileRegistry, "record_inserted", _fail)
        with pytest.raises(OSError, match="device"):
            loaded(warehouse, tmp_path, GOOD)
    try:
        other = loaded(warehouse, tmp_path, GOOD)
    except JourneyflowError:  # The next run counts rows that no ledger knows, and stops.
        other = ["stopped"]
    assert bool(other) is is_broken


def _fail(*_):
    raise OSError(28, "No space left on device")


def test_a_row_that_is_lost_stops_the_load(warehouse, tmp_path, monkeypatch):
    _lose_a_row(monkeypatch)
    with pytest.raises(JourneyflowError, match="do not add up"):
        loaded(warehouse, tmp_path, GOOD)


def test_reconciling_by_the_count_of_what_was_read_is_noticed(warehouse, tmp_path, monkeypatch):
    """Comparing the inserted rows with themselves would let a lost one pass; the script's own count does not."""
    _lose_a_row(monkeypatch)
    monkeypatch.setattr(insert, "_reconcile", lambda *_: None)
    assert loaded(warehouse, tmp_path, GOOD)


def _lose_a_row(monkeypatch):
    original = loader.prepare

    def prepare(warehouse, *rest):
        original(warehouse, *rest)
        warehouse.execute("alter view validated_records rename to whole_records")
        warehouse.execute("create temp view validated_records as select * from whole_records where record_ix <> 1")

    monkeypatch.setattr(loader, "prepare", prepare)


@pytest.mark.parametrize("broken", [(), ("sync",), ("sync_tree",)])
def test_a_missing_sync_is_noticed(engine, tmp_path, monkeypatch, broken):
    """By the order of calls: whether the disk obeys cannot be seen without a power cut."""
    calls: list[str] = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (calls.append(_name_of(handle)), fsync(handle))[1])
    monkeypatch.setattr(Path, "replace", lambda self, to: (calls.append("swap"), replace(self, to))[1])
    for name in broken:
        monkeypatch.setattr(generation, name, lambda *_: None)
    readers.published(engine, tmp_path, 1)
    before = set(calls[: calls.index("swap")])
    is_synced = {"marts.duckdb", "things.parquet", "others.parquet", "manifest.json", "generations"} <= before
    assert is_synced is not bool(broken)


def _name_of(handle: int) -> str:
    return Path(f"/proc/self/fd/{handle}").readlink().name


@pytest.mark.parametrize("is_broken", [False, True])
def test_ignoring_errors_of_json_is_noticed(warehouse, tmp_path, monkeypatch, is_broken):
    parse_in_process(monkeypatch)  # A process of its own would not know what was broken.
    if is_broken:
        monkeypatch.setattr(lines, "_BROKEN", "select 1")
    assert bool(loaded(warehouse, tmp_path, TORN, kind="json")) is is_broken


@pytest.mark.parametrize("is_broken", [False, True])
def test_a_watermark_of_time_is_noticed(warehouse, tmp_path, monkeypatch, is_broken):
    if is_broken:
        original = insert.validated_select
        newer = "occurred_at > coalesce((select max(occurred_at) from raw.events), timestamp '1970-01-01')"
        monkeypatch.setattr(insert, "validated_select", lambda kept, where: original(kept, newer))
    assert bool(loaded(warehouse, tmp_path, GOOD, LATE)) is is_broken
