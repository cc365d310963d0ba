"""Compaction takes out what is free and nothing else, whatever happens in the middle of it."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import stat
from pathlib import Path

import pytest

import journeyflow
from journeyflow.config import load_config
from journeyflow.engines import DuckDBEngine
from journeyflow.errors import InputError, JourneyflowError, LockedError
from journeyflow.state import warehouse
from journeyflow.state.folder import project_lock
from journeyflow.state.warehouse import compact, compact_if_worthwhile, free_share, open_warehouse, rewrite_warehouse
from support.order_project import write_project

BUILT = ()

FORKS = multiprocessing.get_context("fork")
SECRET = "gone-for-ever-7Q"
ROWS = 200_000


def content(path):
    with DuckDBEngine(path, read_only=True) as engine:
        return {name: engine.rows(f"select * from {name} order by all").to_pylist() for name in engine.tables()}


def fill(path):
    """Make a warehouse of which most is free, and some rows deleted."""
    with open_warehouse(path, threads=1) as warehouse:
        # First, or the database would cut the end of the file off by itself.
        warehouse.execute(f"create table raw.ballast as select md5(range::varchar) as text from range({ROWS})")
        warehouse.execute("checkpoint")
        warehouse.execute(
            "insert into ledger.runs (run_id, status) select 'r' || range, 'failed' from range(3) "
            f"union all select '{SECRET}', 'failed'"
        )
        warehouse.execute("checkpoint")
        warehouse.execute(f"delete from ledger.runs where run_id = '{SECRET}'")
        warehouse.execute("drop table raw.ballast")
        warehouse.execute("checkpoint")
    return path


@pytest.fixture
def bloated(tmp_path):
    return fill(tmp_path / "state" / "warehouse.duckdb")


def test_free_room_and_deleted_bytes_go_and_every_row_stays(bloated):
    before, size = content(bloated), bloated.stat().st_size
    assert SECRET.encode() in bloated.read_bytes()
    assert free_share(bloated) > 0.5
    done = rewrite_warehouse(bloated, bloated.parent / "work")
    assert (done.bytes_before, done.bytes_after) == (size, bloated.stat().st_size)
    assert done.bytes_after < size / 2
    assert content(bloated) == before
    assert SECRET.encode() not in bloated.read_bytes()
    assert not (bloated.parent / "work").exists()
    with open_warehouse(bloated) as warehouse:  # Views and rules of the tables came along.
        assert warehouse.count("ledger.reasons") == 0
        with pytest.raises(JourneyflowError, match="NOT NULL"):
            warehouse.execute("insert into ledger.alerts values (null, 'x', 'y')")


def _die_at(path, nth):
    """Compact, and be killed before the `nth` thing that writes to the disk."""
    seen = [0]

    def before(owner, name):
        original = getattr(owner, name)

        def noted(*args, **kwargs):
            seen[0] += 1
            if seen[0] == nth:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*args, **kwargs)

        setattr(owner, name, noted)

    for owner, name in (
        (os, "fsync"),
        (Path, "replace"),
        (Path, "unlink"),
        (Path, "mkdir"),
        (DuckDBEngine, "execute"),
        (DuckDBEngine, "rows"),
        (DuckDBEngine, "close"),
    ):
        before(owner, name)
    rewrite_warehouse(path, path.parent / "work")
    os._exit(0)


def test_a_compaction_that_is_killed_anywhere_leaves_every_row(bloated):
    before, image = content(bloated), bloated.read_bytes()
    nth, is_small = 1, []
    while True:
        bloated.write_bytes(image)
        process = FORKS.Process(target=_die_at, args=(bloated, nth))
        process.start()
        process.join(60)
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        assert content(bloated) == before, nth
        is_small.append(bloated.stat().st_size < len(image))
        rewrite_warehouse(bloated, bloated.parent / "work")  # What the dead one left is no obstacle.
        assert content(bloated) == before, nth
        nth += 1
    assert {True, False} == set(is_small)  # It died before the swap and after it.
    assert nth > 10


@pytest.mark.parametrize("name", ["fsync", "replace"])
def test_a_disk_that_fails_leaves_the_old_file(bloated, monkeypatch, name):
    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    before = content(bloated)
    with monkeypatch.context() as patch:
        patch.setattr(os if name == "fsync" else Path, name, fail)
        with pytest.raises(JourneyflowError, match="No space left on device"):
            rewrite_warehouse(bloated, bloated.parent / "work")
    assert content(bloated) == before
    assert not (bloated.parent / "work").exists()


def test_without_room_nothing_is_begun(bloated, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: os.terminal_size((0, 0)) and type("D", (), {"free": 1}))
    with pytest.raises(InputError, match="room for a second warehouse"):
        rewrite_warehouse(bloated, bloated.parent / "work")


def test_a_copy_that_lost_a_row_is_not_taken(bloated, monkeypatch):
    original = DuckDBEngine.copy_from

    def lossy(self, path):
        original(self, path)
        self.execute("delete from ledger.runs where run_id = 'r1'")

    before = content(bloated)
    monkeypatch.setattr(DuckDBEngine, "copy_from", lossy)
    with pytest.raises(JourneyflowError, match="holds other rows"):
        rewrite_warehouse(bloated, bloated.parent / "work")
    assert content(bloated) == before


def test_a_run_compacts_a_large_file_that_is_half_free(bloated, monkeypatch):
    events = []

    class Watcher:
        def __call__(self, *_):
            pass

        def note(self, event, facts):
            events.append(event)

    compact_if_worthwhile(bloated, bloated.parent / "work", Watcher())
    assert events == []  # It is small.
    monkeypatch.setattr(warehouse, "LEAST_BYTES", 0)
    compact_if_worthwhile(bloated, bloated.parent / "work", Watcher())
    compact_if_worthwhile(bloated, bloated.parent / "work", Watcher())
    assert events == ["compacted"]


def test_a_run_whose_compaction_fails_has_ended_well(tmp_path, monkeypatch):
    config = write_project(tmp_path / "shop")
    monkeypatch.setattr(warehouse, "LEAST_BYTES", 0)
    monkeypatch.setattr(warehouse, "FREE_SHARE", 0.0)
    tried = []

    def fail(*args, **kwargs):
        tried.append(args)
        raise JourneyflowError("No room.")

    monkeypatch.setattr(warehouse, "rewrite_warehouse", fail)
    assert journeyflow.run(config).status == "published"
    assert len(tried) == 1
    monkeypatch.undo()
    done = compact(load_config(config))
    assert done.bytes_after > 0
    assert journeyflow.run(config).record_count == 0  # All that was loaded is known.
    state = config.parent / "state"
    assert stat.S_IMODE((state / "warehouse.duckdb").stat().st_mode) == 0o600
    with project_lock(state), pytest.raises(LockedError):
        compact(load_config(config))


def test_nothing_to_compact_is_an_error(tmp_path):
    with pytest.raises(InputError, match="Run `journeyflow run` first"):
        compact(load_config(write_project(tmp_path / "shop")))
