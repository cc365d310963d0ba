"""Inputs that went wrong in practice: each folder of `faults/` gives what its `expected.md` wants."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

import journeyflow
from external.projects import Project
from journeyflow.config import check, load_config
from journeyflow.operations.erase import RequestedId, erase, plan_erasure
from journeyflow.operations.rebuild import rebuild
from journeyflow.state.warehouse import clock_time
from support.clocks import set_clock
from support.file_search import files_with


@dataclass
class Fault:
    """A copy of a folder, and what it publishes."""

    folder: Path

    def run(self):
        return journeyflow.run(self.folder)

    @property
    def project(self) -> Project:
        return Project(self.folder)

    def counts(self, report) -> tuple[int, int, int, int]:
        return report.record_count, report.accepted_count, report.quarantined_count, report.duplicate_count

    def reasons(self) -> list[tuple[int, str]]:
        rows = self.project.warehouse_rows("select source_row, reason from raw.quarantine order by all")
        return [(int(row), str(reason)) for row, reason in rows]


@pytest.fixture
def fault(request, external_data, tmp_path):
    """The folder that the test's mark names, copied; what `make.py` writes is written."""
    place = external_data / "faults" / request.param
    if not place.is_dir():
        pytest.skip(f"{request.param} is not among the inputs")
    folder = tmp_path / "p"
    shutil.copytree(place, folder, copy_function=shutil.copyfile)
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    if (folder / "make.py").exists() and not list(folder.glob("*.parquet")):
        subprocess.run([sys.executable, "make.py"], cwd=folder, check=True)
    return Fault(folder)


def of(*names):
    return pytest.mark.parametrize("fault", names, indirect=True)


@of("arrival-in-the-future")
def test_an_arrival_in_the_future_protects_no_time(fault):
    report = fault.run()
    assert fault.counts(report) == (6, 5, 1, 0)
    assert fault.reasons() == [(7, "future")]
    assert f"{report.high_water_at:%Y-%m-%d}" == "2026-10-15"
    assert any("arrived after the file was read" in alert for alert in report.alerts)
    assert fault.project.steps("f") == [3, 1]


@of("broken-traits-end-the-night")
def test_broken_traits_leave_the_events(fault):
    report = fault.run()
    assert fault.counts(report) == (1, 1, 0, 0)
    assert any(alert.startswith("crm.csv was refused") for alert in report.alerts)


@of("clock-ahead-loses-copies")
def test_a_run_by_a_clock_that_is_ahead(fault, monkeypatch):
    off = [timedelta(0)]
    set_clock(monkeypatch, lambda: clock_time() + off[0])
    fault.run()
    (fault.folder / "in" / "a.csv").unlink()
    shutil.copy(fault.folder / "later.csv", fault.folder / "in" / "later.csv")
    off[0] = timedelta(days=3650)
    assert fault.run().alerts
    off[0] = timedelta(0)
    assert f"{fault.run().high_water_at:%Y-%m-%d}" == "2026-11-21"
    assert rebuild(journeyflow.load_config(fault.folder)).event_count == 2


@of("dotted-header-ends-night")
def test_a_column_name_of_500_parts(fault):
    report = fault.run()
    assert report.accepted_count + len(report.alerts) == 2
    assert "u1" in {user for (user,) in fault.project.warehouse_rows("select user_id from raw.events")}


@of("forget-envelopes")
def test_nothing_of_an_erased_person_stays_or_comes_back(fault):
    fault.run()
    config = load_config(fault.folder)
    erase(config, plan_erasure(config, [RequestedId("user", "qzcanary@example.com")]))
    assert files_with(fault.folder / "state", "qzcanary") == []

    subprocess.run([sys.executable, "make_long_line.py"], cwd=fault.folder, check=True)
    fault.run()
    assert fault.project.warehouse_rows("select count(*) from raw.events") == [(2,)]
    of_the_user = {"in/app/a.jsonl", "in/app/later.jsonl", "expected.md", "make_long_line.py"}
    assert {name for name, _ in files_with(fault.folder, "qzcanary")} == of_the_user


@of("ga4-parameters-reordered")
def test_parameters_in_another_order(fault):
    report = fault.run()
    assert report.duplicate_count == 2
    assert fault.project.steps("paid_twice")[1] == 0
    paid = "select count(*), sum(revenue_amount) from raw.events where anonymous_id = 'p1' and event_name = 'purchase'"
    assert [tuple(map(float, row)) for row in fault.project.warehouse_rows(paid)] == [(1.0, 20.0)]


@of("ga4-repeated-parameter")
def test_a_repeated_parameter(fault):
    assert fault.counts(fault.run()) == (3, 3, 0, 0)


@of("infinite-time")
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_an_infinite_time(fault, kind):
    report = Fault(fault.folder / kind).run()
    assert report.status == "published"
    assert report.accepted_count >= 1
    reasons = {reason for _, reason in Fault(fault.folder / kind).reasons()}
    assert reasons <= {"bad_time", "future", "bad_received_time"}
    assert reasons


@of("init-in-a-numbered-folder")
def test_init_in_a_folder_whose_name_is_a_number(fault):
    folder = fault.folder / "2026"
    for name in ("events.csv", "d[x].csv"):
        command = [sys.executable, "-m", "journeyflow", "init", name, "--force"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True, env=dict(os.environ))
        assert check(folder / "journeyflow.yml") == []


@of("mixpanel-insert-id-and-zone")
def test_an_insert_id_of_two_people_and_a_local_time(fault):
    assert fault.counts(fault.run()) == (7, 7, 0, 0)
    assert fault.project.steps("buy")[0] == 3
    first = fault.project.warehouse_rows("select cast(min(occurred_at) as varchar) from raw.events")
    assert first == [("2026-03-01 08:00:00",)]


@of("parquet-binary-text")
def test_texts_of_parquet_without_their_mark(fault):
    fault.run()
    assert fault.project.steps("buy") == [2, 1, 1]
    found = fault.project.warehouse_rows("select properties::varchar from raw.events where event_name = 'Käufe'")
    assert json.loads(json.loads(found[0][0])["props"]) == {"plan": "gold"}


@of("parquet-zoned-nanoseconds")
def test_zoned_nanoseconds(fault):
    assert fault.counts(fault.run()) == (3, 3, 0, 0)
    assert fault.project.steps("buy") == [2, 1]


@of("time-suffix-ignored")
def test_a_word_after_a_time_is_read_or_refused(fault):
    fault.run()
    assert fault.reasons() == [(8, "bad_time"), (9, "bad_time"), (10, "bad_time")]
    times = "select cast(occurred_at as varchar) from raw.events order by anonymous_id, occurred_at"
    assert [time[11:16] for (time,) in fault.project.warehouse_rows(times)] == [
        *("16:50", "17:10", "18:05", "18:10", "16:00", "18:00")
    ]
    assert fault.project.steps("buy") == [3, 3]


@of("truncated-properties-json")
def test_json_that_is_cut_off(fault):
    assert fault.counts(fault.run()) == (4, 2, 2, 0)
    assert [reason for _, reason in fault.reasons()] == ["bad_json", "bad_json"]
    assert fault.project.table("load_audit")["source_file"].to_list() == ["seg.csv"]
