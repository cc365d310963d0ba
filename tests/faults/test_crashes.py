"""A run that is killed loses no row, doubles none and publishes nothing partial; the next run recovers.

`JOURNEYFLOW_FAULTS=300` tries so many random kills, every phase and every call of every point twice (`make faults`);
without it a short tier runs.
"""

from __future__ import annotations

import errno
import os
import random
import shutil

import pytest

from external.projects import Project
from faults import run_process
from faults.run_process import PHASES, REBUILD, Fault
from journeyflow.publish.reader import read_manifest
from journeyflow.utils.files import sha256
from properties import random_projects

LONG = int(os.environ.get("JOURNEYFLOW_FAULTS", "0"))
KILLS = LONG or 3
LOCKED = 4
POINTS = (
    [f"{when} {phase}" for phase in PHASES for when in ("before", "after")] * 2
    if LONG
    else ["after load", "after publish"]
)
COUNTED = ("sync", "rename", "link", "statement", "register")


@pytest.fixture(scope="module")
def log():
    return random_projects.log_of(1, 150)


@pytest.fixture(scope="module")
def halfway(tmp_path_factory, log):
    """A project with one complete run and a second file to load."""
    path = random_projects.make_project(tmp_path_factory.mktemp("halfway"))
    if not LONG:
        run_process.build_only(path, "marts.funnel_steps", "marts.person_stages", "marts.stage_transitions")
    random_projects.add_file(path, "a.csv", log[:90])
    assert run_process.finish(path) == 0
    random_projects.add_file(path, "b.csv", log[60:])  # Thirty rows come twice.
    return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory, halfway):
    """What the second run publishes when nothing fails."""
    path = _copy(halfway, tmp_path_factory.mktemp("whole"))
    assert run_process.finish(path) == 0
    return _state(Project(path.parent))


@pytest.fixture(scope="module")
def called(tmp_path_factory, halfway):
    return run_process.calls(_copy(halfway, tmp_path_factory.mktemp("called")))


@pytest.fixture
def path(halfway, tmp_path):
    return _copy(halfway, tmp_path)


def _copy(project, folder):
    target = folder / "shop"
    shutil.copytree(project.parent, target, symlinks=True)
    return target / project.name


def _state(project):
    """Return all that must not depend on the accidents of a run: every figure, and every row that was stored."""
    events = project.warehouse_rows(
        "select source, event_id, occurred_at, event_name, revenue_amount from raw.events order by all"
    )
    kept = project.warehouse_rows("select source_file, source_row, reason from raw.quarantine order by all")
    return project.figures(), events, kept


def _assert_recovered(path, whole):
    """The last generation is whole whatever happened, and the next run publishes what it should."""
    generation = (path.parent / "published" / "current").resolve()
    for entry in read_manifest(generation).tables.values():
        assert sha256(generation / entry.file) == entry.sha256
    assert run_process.finish(path) == 0
    assert _state(Project(path.parent)) == whole
    assert not list((path.parent / "published" / "generations").glob(".unfinished*"))


@pytest.mark.parametrize(("number", "point"), list(enumerate(POINTS)))
def test_a_kill_between_phases(path, whole, number, point):
    assert run_process.finish(path, Fault(point)) == -9
    _assert_recovered(path, whole)


def test_two_kills_in_a_row(path, whole):
    assert run_process.finish(path, Fault("after publish")) == -9
    assert run_process.finish(path, Fault("after load")) == -9
    _assert_recovered(path, whole)


def _some(called, point):
    """Return the calls of a point to hit: all of them twice in the long tier, else one."""
    everything = range(1, called[point] + 1)
    return list(everything) * 2 if LONG else [random.Random(point).choice(everything)]


@pytest.mark.parametrize("point", COUNTED)
def test_a_kill_at_a_call_to_the_disk(halfway, tmp_path, whole, called, point):
    for number, nth in enumerate(_some(called, point)):
        path = _copy(halfway, tmp_path / str(number))
        assert run_process.finish(path, Fault(point, nth)) == -9, f"{point} {nth} was not passed"
        _assert_recovered(path, whole)


@pytest.mark.parametrize("point", ["sync", "rename", "link"])
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO] if LONG else [errno.ENOSPC])
def test_a_disk_that_fails(halfway, tmp_path, whole, called, point, error):
    for number, nth in enumerate(_some(called, point)):
        path = _copy(halfway, tmp_path / str(number))
        assert run_process.finish(path, Fault(point, nth, error)) in (0, 1), f"{point} {nth}"
        _assert_recovered(path, whole)


@pytest.mark.long
def test_kills_at_random_moments(halfway, tmp_path, whole):
    rng = random.Random(int(os.environ.get("JOURNEYFLOW_SEED", "3")))
    longest = run_process.seconds_of(_copy(halfway, tmp_path / "timed"))
    died = 0
    for number in range(KILLS):
        path = _copy(halfway, tmp_path / str(number))
        died += run_process.killed_after(path, rng.uniform(0, longest)) == -9
        _assert_recovered(path, whole)
    print(f"{died} of {KILLS} runs killed at random, no row lost or doubled")  # noqa: T201 - for `make faults`
    assert died >= KILLS // 3


REBUILDS = (
    [f"{when} {step}" for step in (*REBUILD, *PHASES) for when in ("before", "after")]
    if LONG
    else ["after reload", "before swap", "after swap"]
)


@pytest.mark.parametrize("point", REBUILDS)
def test_a_rebuild_that_is_killed_leaves_the_old_or_the_new_warehouse(halfway, tmp_path, whole, point):
    path = _copy(halfway, tmp_path)
    assert run_process.rebuild(path, Fault(point)) == -9
    archived = {each.name for each in (path.parent / "state" / "raw").glob("*.records.parquet")}
    assert archived == {each.name for each in (halfway.parent / "state" / "raw").glob("*.records.parquet")}
    _assert_recovered(path, whole)
    assert run_process.rebuild(path) == 0
    assert _state(Project(path.parent)) == whole


@pytest.mark.parametrize("count", [2, 5])
def test_only_one_of_several_runs_works(path, whole, count):
    running = [run_process.start(path) for _ in range(count)]
    for process in running:
        process.join(120)
    assert sorted(process.exitcode for process in running) == [0] + [LOCKED] * (count - 1)
    assert _state(Project(path.parent)) == whole


def test_the_lock_of_a_killed_run_is_free(path, whole):
    assert run_process.finish(path, Fault("before classify")) == -9
    _assert_recovered(path, whole)
