from __future__ import annotations

import shutil

import pytest

from journeyflow.errors import InputError, LockedError, NotFoundError
from journeyflow.operations.rebuild import Replay, quarantined, replay
from journeyflow.state.folder import project_lock
from journeyflow.state.warehouse import open_warehouse

GOOD = "id,ts,cookie,event\ne1,2026-03-01T10:00:00Z,c,x\n"
BAD = "id,ts,cookie,event\ne2,gestern,c,x\ne3,2026-03-01T10:00:00Z,,x\ne4,morgen,c,x\n"


@pytest.fixture
def kept(project):
    """A function that loads the project into a warehouse on disk and tells what came of it, file by file."""
    project.write("a.csv", GOOD)
    project.write("b.csv", BAD)

    def load():
        config = project.config()
        with open_warehouse(config.state / "warehouse.duckdb", threads=1) as warehouse:
            project.warehouse, memory = warehouse, project.warehouse
            report = project.load()
            project.warehouse = memory
        return [(file.source_file, file.status, file.counts.accepted) for file in report.files]

    load()
    return load


def test_reasons_are_counted_by_file(project, kept):
    assert quarantined(project.config()).to_pylist() == [
        {"source": "web", "source_file": "data/b.csv", "reason": reason, "row_count": n, "first_row": a, "last_row": b}
        for reason, n, a, b in (("bad_time", 2, 2, 4), ("no_identifier", 1, 3, 3))
    ]
    assert quarantined(project.config(), reason="bad_time").num_rows == 1
    assert quarantined(project.config(), "app").num_rows == 0


def test_the_records_are_shown_when_asked_for(project, kept):
    rows = quarantined(project.config(), reason="bad_time", with_rows=True).to_pylist()
    assert [(row["source_row"], "gestern" in row["raw"], "morgen" in row["raw"]) for row in rows] == [
        (2, True, False),
        (4, False, True),
    ]


def test_a_replay_reads_all_files_of_the_source_again_once(project, kept):
    assert kept() == [("data/a.csv", "known", 0), ("data/b.csv", "known", 0)]
    assert replay(project.config()) == (Replay("web", 2, 3),)
    assert kept() == [("data/a.csv", "loaded", 1), ("data/b.csv", "loaded", 0)]
    assert kept() == [("data/a.csv", "known", 0), ("data/b.csv", "known", 0)]
    assert quarantined(project.config())["row_count"].to_pylist() == [2, 1]


def test_a_replay_of_nothing_is_refused(project, kept):
    with pytest.raises(NotFoundError, match="quarantine list"):
        replay(project.config(), reason="future")
    assert kept()[0][1] == "known"


def test_a_replay_reads_a_file_that_is_gone_from_its_archived_file(project, kept):
    (project.folder / "data" / "a.csv").unlink()
    assert replay(project.config()) == (Replay("web", 2, 3),)
    assert sorted(kept()) == [("data/a.csv", "loaded", 1), ("data/b.csv", "loaded", 0)]


def test_a_replay_without_a_file_loses_no_event(project, kept):
    shutil.rmtree(project.config().state / "raw")
    (project.folder / "data" / "a.csv").unlink()
    with pytest.raises(InputError, match=r"data/a\.csv is no longer there"):
        replay(project.config())
    assert kept() == [("data/b.csv", "known", 0)]


def test_nothing_is_read_while_a_run_is_going_on(project, kept):
    with project_lock(project.config().state):
        with pytest.raises(LockedError):
            quarantined(project.config())
        with pytest.raises(LockedError):
            replay(project.config())


def test_nothing_is_there_before_the_first_run(project):
    with pytest.raises(NotFoundError, match="`journeyflow run` first"):
        quarantined(project.config())
